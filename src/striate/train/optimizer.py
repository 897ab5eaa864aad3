"""The optimisers of the training loop, and their state as named tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from striate.train.settings import Settings


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW or Nesterov SGD, fused; only weights of two or more dimensions decay.

    SGD's decay is added to the gradient, as PyTorch does it; AdamW's is decoupled
    (Loshchilov and Hutter 2017, arXiv 1711.05101).
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)


class Update:
    """Zeroes gradients and takes steps of an optimiser, with the lists of its tensors made once.

    PyTorch's ``step()`` sorts parameters and state anew each time, which takes longer than the
    arithmetic of a small network. The arithmetic is the same fused kernel's, bit for bit.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._lists: list[tuple[dict[str, Any], list[torch.Tensor], dict[str, list[torch.Tensor]]]] = []

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Move the parameters along their gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        complete = all(parameter.grad is not None for parameter in self.parameters)
        if not (complete and self._lists):
            self.optimizer.step()  # makes the state, too
            if complete and not self._lists:
                self._make_lists()
            return
        for group, parameters, state in self._lists:
            torch._foreach_add_(state["step"], 1)
            torch._fused_adamw_(
                parameters,
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                state["exp_avg"],
                state["exp_avg_sq"],
                [],
                state["step"],
                amsgrad=False,
                lr=learning_rate,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
                grad_scale=None,
                found_inf=None,
            )

    def _make_lists(self) -> None:
        kinds = {(parameter.device, parameter.dtype) for parameter in self.parameters}
        if not isinstance(self.optimizer, torch.optim.AdamW) or len(kinds) != 1:
            return
        for group in self.optimizer.param_groups:
            if parameters := group["params"]:
                states = [self.optimizer.state[parameter] for parameter in parameters]
                slots = {
                    slot: [state[slot] for state in states] for slot in ("step", "exp_avg", "exp_avg_sq")
                }
                self._lists.append((group, parameters, slots))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state, flat: ``"<parameter>/<slot>"`` → tensor."""
    return {
        f"{index}/{slot}": value
        for index, slots in optimizer.state_dict()["state"].items()
        for slot, value in slots.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave.

    The fused kernels read parameter, gradient and state in memory order, so each state tensor
    takes its parameter's strides.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, slot = name.split("/")
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
