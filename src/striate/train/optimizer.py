"""The optimisers of the training loop, and their state as named tensors.

They call the fused kernels of ``torch.optim.AdamW`` and ``torch.optim.SGD``, and give their bits. But
making one of those imports PyTorch's compiler, which takes seconds, and its ``step()`` sorts parameters
and state anew each time, which takes longer than the arithmetic of a small network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from striate.train.settings import Settings

Slots = dict[str, torch.Tensor]


def make_optimizer(network: nn.Module, settings: Settings) -> Optimizer:
    """AdamW or Nesterov SGD; only weights of two or more dimensions decay.

    SGD's decay is added to the gradient, as PyTorch does it; AdamW's is decoupled
    (Loshchilov and Hutter 2017, arXiv 1711.05101).
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    decaying = [(p, settings.weight_decay) for p in parameters if p.ndim >= 2]
    kind = SGD if settings.optimizer == "sgd" else AdamW
    return kind([*decaying, *((p, 0.0) for p in parameters if p.ndim < 2)], settings.learning_rate)


@dataclass(frozen=True)
class _Group:
    """Parameters that one call of a fused kernel can move, with the lists of their state."""

    parameters: list[nn.Parameter]
    weight_decay: float
    slots: dict[str, list[torch.Tensor]]


class Optimizer(ABC):
    """Forgets gradients and moves parameters along them.

    Args:
        decays: every parameter with its weight decay; the order names the state.
        learning_rate: that the first step will have.
    """

    def __init__(self, decays: list[tuple[nn.Parameter, float]], learning_rate: float) -> None:
        self.parameters = [parameter for parameter, _ in decays]
        self.learning_rate = learning_rate
        self._decays = [decay for _, decay in decays]
        self._state: dict[int, Slots] = {}
        self._moving: list[bool] = []
        self._groups: list[_Group] = []

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters that have a gradient."""
        self.learning_rate = learning_rate
        moving = [parameter.grad is not None for parameter in self.parameters]
        if moving != self._moving:
            self._moving, self._groups = moving, self._grouped(moving)
        for group in self._groups:
            self._move(group, [p.grad for p in group.parameters if p.grad is not None])

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state, flat: ``"<parameter>/<slot>"`` → tensor; of parameters that were ever moved."""
        return {
            f"{index}/{slot}": value for index, slots in self._state.items() for slot, value in slots.items()
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put back what :meth:`tensors` gave.

        The fused kernels read parameter, gradient and state in memory order, so each tensor of the
        state takes the strides of its parameter.
        """
        self._moving, self._groups, self._state = [], [], {}
        for name, value in tensors.items():
            index, _, slot = name.partition("/")
            parameter = self.parameters[int(index)]
            slots = self._state.setdefault(int(index), self._fresh(parameter))
            slots[slot].copy_(value)

    def _grouped(self, moving: list[bool]) -> list[_Group]:
        members: dict[tuple[float, torch.device, torch.dtype], list[int]] = {}
        for index, moves in enumerate(moving):
            if moves:
                parameter = self.parameters[index]
                if index not in self._state:
                    self._state[index] = self._fresh(parameter)
                key = self._decays[index], parameter.device, parameter.dtype
                members.setdefault(key, []).append(index)
        groups = []
        for (decay, _, _), indices in members.items():
            slots = {slot: [self._state[i][slot] for i in indices] for slot in self._state[indices[0]]}
            groups.append(_Group([self.parameters[i] for i in indices], decay, slots))
        return groups

    @abstractmethod
    def _fresh(self, parameter: nn.Parameter) -> Slots:
        """The state before the first step."""

    @abstractmethod
    def _move(self, group: _Group, gradients: list[torch.Tensor]) -> None:
        """One step of a group, in place."""


class AdamW(Optimizer):
    """Adam with decoupled weight decay."""

    def _fresh(self, parameter: nn.Parameter) -> Slots:
        return {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }

    def _move(self, group: _Group, gradients: list[torch.Tensor]) -> None:
        torch._foreach_add_(group.slots["step"], 1)
        torch._fused_adamw_(
            group.parameters,  # type: ignore[arg-type]
            gradients,
            group.slots["exp_avg"],
            group.slots["exp_avg_sq"],
            [],
            group.slots["step"],
            amsgrad=False,
            lr=self.learning_rate,
            beta1=0.9,
            beta2=0.99,
            weight_decay=group.weight_decay,
            eps=1e-8,
            maximize=False,
            grad_scale=None,
            found_inf=None,
        )


class SGD(Optimizer):
    """Nesterov's momentum; a velocity of 0 makes the first step what PyTorch makes it."""

    def _fresh(self, parameter: nn.Parameter) -> Slots:
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def _move(self, group: _Group, gradients: list[torch.Tensor]) -> None:
        torch._fused_sgd_(
            group.parameters,  # type: ignore[arg-type]
            gradients,
            group.slots["momentum_buffer"],
            weight_decay=group.weight_decay,
            momentum=0.9,
            lr=self.learning_rate,
            dampening=0.0,
            nesterov=True,
            maximize=False,
            is_first_step=False,
            grad_scale=None,
            found_inf=None,
        )
