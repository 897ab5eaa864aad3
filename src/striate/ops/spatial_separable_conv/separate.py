"""Factor a kernel into one vector for each axis, and say how much of it that misses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.ops._checks import check_floating

ROUNDS = 20  # of the improvement in three dimensions; it gains nothing in two


@dataclass(frozen=True, eq=False)
class Separation:
    """The product of vectors, one for each axis, that is nearest to a kernel.

    Attributes:
        factors: one vector for each axis, ``(…, k)``, with the leading dimensions of the kernel. All
            have the same norm; the largest number of each but the last is positive.
        error: ‖kernel − product‖ / ‖kernel‖ in the Frobenius norm, in [0, 1), of each kernel: 0 if
            nothing is lost.
        rank: 1 where the kernel is such a product up to rounding, else how many products at least
            must be added to make it (in two dimensions exactly that many).
    """

    factors: tuple[Tensor, ...]
    error: Tensor
    rank: Tensor

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The factors as kernels along their axes: ``(…, k, 1)`` and ``(…, 1, k)``.

        Those of a depthwise weight ``(C, 1, kH, kW)`` go into :func:`spatial_separable_conv2d` with
        ``groups=C`` as they are.
        """
        rank = len(self.factors)
        return tuple(
            factor.reshape(*factor.shape[:-1], *(1,) * axis, -1, *(1,) * (rank - axis - 1))
            for axis, factor in enumerate(self.factors)
        )

    @property
    def kernel(self) -> Tensor:
        """The product of the factors."""
        return reduce(torch.mul, self.weights)


def separate(kernel: Tensor) -> Separation:
    """Factor a kernel into a column and a row (and a depth), as near as can be.

    In two dimensions these are the first singular vectors, and no other pair is nearer (Eckart and
    Young 1936). In three, the first vectors of one singular value decomposition after the other,
    then improved in turn until they settle: exact if the kernel is a product, and a very good one, if
    not always the nearest, if it is not.

    Args:
        kernel: ``(kH, kW)`` or ``(kD, kH, kW)``, or the weight of a convolution,
            ``(C_out, C_in / groups, kH, kW)`` or ``(C_out, C_in / groups, kD, kH, kW)``, whose kernels
            are factored one by one.

    Returns:
        The factors, what they miss, and the rank. Gradients do not pass.

    Raises:
        ArgumentError: no kernel of these shapes, no floating point, or not finite.

    Source:
        Eckart and Young, 1936; De Lathauwer, De Moor, Vandewalle, *On the best rank-1 and
        rank-(R1, …, RN) approximation of higher-order tensors*, 2000.

    >>> sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    >>> column, row = separate(sobel).factors
    >>> column / column[0], row / row[2]
    (tensor([1., 2., 1.]), tensor([-1.,  0.,  1.]))
    >>> diagonal = separate(torch.eye(4))
    >>> round(diagonal.error.item(), 4), diagonal.rank.item()  # √(3/4) is lost
    (0.866, 4)
    """
    check_floating("separate", kernel=kernel)
    if not 2 <= kernel.dim() <= 5 or min(kernel.shape) < 1:
        raise ArgumentError(
            f"separate: kernel came with shape {tuple(kernel.shape)}; wanted (kH, kW), (kD, kH, kW), or the "
            f"weight of a convolution, (C_out, C_in / groups, kH, kW) or (C_out, C_in / groups, kD, kH, kW)"
        )
    with torch.no_grad():
        rank = kernel.dim() if kernel.dim() < 4 else kernel.dim() - 2
        leading, sizes = kernel.shape[:-rank], kernel.shape[-rank:]
        kernels = kernel.double().reshape(-1, *sizes)
        if not kernels.isfinite().all():
            raise ArgumentError("separate: kernel has numbers that are not finite; wanted finite ones")
        nearest = Separation(tuple(_nearest(kernels)), kernels, kernels)
        norm = kernels.flatten(1).norm(dim=1)
        missed = (kernels - nearest.kernel).flatten(1).norm(dim=1)
        error = torch.where(norm > 0, missed / norm, 0.0)
        ranks = [_rank(kernels.movedim(1 + axis, 1).flatten(2), kernel.dtype) for axis in range(rank)]
        return Separation(
            tuple(factor.to(kernel.dtype).reshape(*leading, -1) for factor in nearest.factors),
            error.to(kernel.dtype).reshape(leading),
            torch.stack(ranks).amax(0).reshape(leading),
        )


def _nearest(kernels: Tensor) -> list[Tensor]:
    """Factors of equal norm of each of ``(B, *sizes)``."""
    *sizes, _ = kernels.shape[1:]
    directions, rest = [], kernels
    for size in sizes:
        left, strengths, right = torch.linalg.svd(rest.reshape(len(kernels), size, -1), full_matrices=False)
        directions.append(left[:, :, 0])
        rest = strengths[:, :1] * right[:, 0]
    directions.append(torch.nn.functional.normalize(rest, dim=1))
    for _ in range(ROUNDS if len(sizes) > 1 else 0):
        for axis in range(len(directions)):
            directions[axis] = torch.nn.functional.normalize(_along(kernels, directions, axis), dim=1)

    # The sign of a singular vector is arbitrary: the last factor carries that of the product.
    for axis, direction in enumerate(directions[:-1]):
        peak = direction.gather(1, direction.abs().argmax(1, keepdim=True))
        directions[axis] = torch.where(peak < 0, -direction, direction)
    final = _along(kernels, directions, len(sizes))
    strength = final.norm(dim=1, keepdim=True)
    directions[-1] = torch.nn.functional.normalize(final, dim=1)
    return [direction * strength ** (1 / len(directions)) for direction in directions]


def _along(kernels: Tensor, directions: list[Tensor], axis: int) -> Tensor:
    """What is left of ``(B, *sizes)`` along ``axis`` when the others are summed with their directions."""
    for other, direction in reversed(list(enumerate(directions))):
        if other != axis:
            after = kernels.dim() - 2 - other
            kernels = (kernels * direction.reshape(len(direction), *(1,) * other, -1, *(1,) * after)).sum(
                1 + other
            )
    return kernels


def _rank(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """How many singular values are more than the rounding of numbers of ``dtype``."""
    strengths = torch.linalg.svdvals(matrices)
    noise = max(matrices.shape[1:]) * torch.finfo(dtype).eps * strengths[:, :1]
    above: Tensor = (strengths > noise).sum(1)
    return above
