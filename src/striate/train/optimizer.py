"""The optimisers of the training loop, and their state as named tensors."""

from __future__ import annotations

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
