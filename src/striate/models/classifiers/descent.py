"""L-BFGS down a path of ever weaker regularisation, each step starting where the last one ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from striate.models.classifiers.base import Terms

ITERATIONS = 150  # at most, per strength
TOLERANCE = 1e-5  # relative fall of the objective that ends a descent

Objective = Callable[[torch.Tensor, float], tuple[float, torch.Tensor]]


@dataclass(frozen=True)
class Descent:
    """Where the path was left: the best weights, their strength of regularisation, work done."""

    weights: torch.Tensor
    strength: float
    iterations: int
    in_time: bool


def descend(
    title: str,
    objective: Objective,
    start: torch.Tensor,
    judge: Callable[[torch.Tensor], float],
    strengths: tuple[float, ...],
    terms: Terms,
) -> Descent:
    """Weights with the least held-out loss along the path.

    The path is left at the first strength that does worse on held-out samples than the one before,
    so that weak regularisation, which takes longest, is only paid for where it helps.

    Args:
        title: for the progress display.
        objective: value and gradient (shaped like ``start``) at given weights and strength.
        start: float32 weights to begin with.
        judge: loss of weights on held-out samples.
        strengths: of the regularisation, from strong to weak.
        terms: monitor and deadline.
    """
    terms.monitor.begin(title, total=len(strengths) * ITERATIONS, unit="steps")
    best, best_strength, best_loss = start, strengths[0], float("inf")
    weights, iterations = start, 0
    for position, strength in enumerate(strengths):
        weights, steps = _minimise(objective, weights, strength, terms, position * ITERATIONS)
        iterations += steps
        loss = judge(weights)
        if loss >= best_loss:
            break
        best, best_strength, best_loss = weights, strength, loss
        if terms.seconds_left() <= 0:
            break
    terms.monitor.end()
    return Descent(best, best_strength, iterations, terms.seconds_left() > 0)


def _minimise(
    objective: Objective, start: torch.Tensor, strength: float, terms: Terms, done: int
) -> tuple[torch.Tensor, int]:
    from scipy.optimize import OptimizeResult, minimize
    from threadpoolctl import threadpool_limits

    steps = 0

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = objective(torch.from_numpy(flat).float().view_as(start), strength)
        return value, gradient.double().flatten().numpy()

    def after_each(intermediate_result: OptimizeResult) -> None:
        nonlocal steps
        steps += 1
        terms.monitor.advance(done + steps)
        if terms.seconds_left() <= 0:
            raise StopIteration

    # SciPy's own threads gain nothing on these vectors, and lose much where they meet torch's.
    with threadpool_limits(1, user_api="blas"):
        found = minimize(
            value_and_gradient,
            start.double().flatten().numpy(),
            jac=True,
            method="L-BFGS-B",
            callback=after_each,
            options={"maxiter": ITERATIONS, "ftol": TOLERANCE, "gtol": 1e-8},
        )
    return torch.from_numpy(found.x).float().view_as(start), steps
