"""Convolution as layers: PyTorch's own, with the paddings that it does not take."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import check_floating, check_rank, padding_numbers, per_dimension
from striate.ops.conv.op import PADDING_MODES, conv1d, conv2d, conv3d

FUNCTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


class _Conv(_ConvNd):
    """The body of the layers of every rank; stands before PyTorch's layer, which holds the parameters."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Pads = 0,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        name, rank = type(self).__name__, self.rank
        check_channels(name, in_channels, out_channels, groups)
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"{name}: padding_mode came as {padding_mode!r}; wanted one of {', '.join(PADDING_MODES)}"
            )
        kernel, strides, dilations = (
            per_dimension(name, argument, value, rank)
            for argument, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
        )
        pads, reach = _padding(name, padding, kernel, dilations)
        options: Any = (groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, kernel, strides, 0, dilations, *options)  # type: ignore[arg-type]
        self.padding = pads  # type: ignore[assignment]
        self._reversed_padding_repeated_twice = reach

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return FUNCTIONS[self.rank](
            input,
            weight,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.padding_mode,
        )


def _padding(
    name: str, padding: Pads, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[str | tuple[int, ...] | tuple[tuple[int, int], ...], list[int]]:
    """The padding as a layer keeps it, and as PyTorch's layers keep it for ``F.pad``.

    With a stride, ``"same"`` depends on the input and the second is that of stride 1; it is not used here.
    """
    rank = len(kernel)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentError(
                f'{name}: padding came as {padding!r}; wanted "same", "valid", whole numbers or pairs'
            )
        whole = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        pairs = tuple((total // 2, total - total // 2) for total in whole)
        kept: Any = padding
    else:
        pairs = padding_numbers(name, padding, rank)
        is_even = all(before == after for before, after in pairs)
        kept = tuple(before for before, _ in pairs) if is_even else pairs
    return kept, [end for pair in reversed(pairs) for end in pair]


def check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Channels and groups of a layer are whole numbers, and the groups divide the channels.

    A lazy layer gives 0 for the channels that it waits for.
    """
    per_dimension(name, "groups", groups, 1)
    for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        per_dimension(name, argument, channels, 1, least=0)
        if channels % groups:
            raise ArgumentError(
                f"{name}: groups came as {groups}; wanted a number from 1 that divides {argument} = {channels}"
            )


class _Lazy(nn.Module):
    """Checks of the layers that take their input channels from the first input."""

    rank: ClassVar[int]
    in_channels: int
    out_channels: int
    groups: int

    def initialize_parameters(self, input: Tensor, *args: Any, **options: Any) -> None:
        super().initialize_parameters(input, *args, **options)  # type: ignore[misc]
        if not self.in_channels:  # the parameters came from a state dict
            self.in_channels = self._get_in_channels(input)

    def _get_in_channels(self, input: Tensor) -> int:
        name = type(self).__name__
        check_rank(name, input, self.rank)
        in_channels = input.shape[-self.rank - 1]
        check_channels(name, in_channels, self.out_channels, self.groups)
        return in_channels


class Conv1d(_Conv, nn.Conv1d):
    """Convolution along one dimension; see :class:`Conv2d`.

    Shape: ``(N, C_in, L)`` → ``(N, C_out, L_out)``; the batch may be left out.

    >>> Conv1d(2, 4, 3, stride=2, padding="same")(torch.zeros(5, 2, 9)).shape
    torch.Size([5, 4, 5])
    """

    rank = 1


class Conv2d(_Conv, nn.Conv2d):
    """Convolution with a learned kernel for each output channel; a :class:`torch.nn.Conv2d` that pads more ways.

    Parameters, their start values, state dict and printed form are those of PyTorch's layer.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        stride: samples from one window to the next.
        padding: one number, ``(pH, pW)``, a ``(before, after)`` pair for each dimension, ``"valid"`` or
            ``"same"``, which goes with any stride.
        dilation: samples from one tap to the next.
        groups: blocks of channels that do not see each other; ``in_channels`` of them is depthwise.
        bias: whether a bias is learned, one for each output channel.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        weight: ``(C_out, C_in / groups, kH, kW)``.
        bias: ``(C_out,)`` or ``None``.

    Shape: ``(N, C_in, H, W)`` → ``(N, C_out, H_out, W_out)``; the batch may be left out. See
    :func:`striate.functional.conv2d` for the formula.

    Raises:
        ArgumentError: settings that do not fit together, or an input that does not fit them.

    Source:
        See :func:`striate.functional.conv2d`.

    >>> Conv2d(3, 6, 5)(torch.zeros(1, 3, 32, 32)).shape  # the lecture's homework
    torch.Size([1, 6, 28, 28])
    >>> Conv2d(3, 6, 4, stride=2, padding=((1, 2), (0, 1)), padding_mode="reflect")
    Conv2d(3, 6, kernel_size=(4, 4), stride=(2, 2), padding=((1, 2), (0, 1)), padding_mode=reflect)
    """

    rank = 2


class Conv3d(_Conv, nn.Conv3d):
    """Convolution of volumes; see :class:`Conv2d`.

    Shape: ``(N, C_in, D, H, W)`` → ``(N, C_out, D_out, H_out, W_out)``; the batch may be left out.

    >>> Conv3d(1, 2, 3, padding="same")(torch.zeros(1, 4, 5, 6)).shape
    torch.Size([2, 4, 5, 6])
    """

    rank = 3


class LazyConv1d(_Lazy, nn.LazyConv1d, Conv1d):  # type: ignore[misc]
    """:class:`Conv1d` that takes ``in_channels`` from its first input.

    >>> layer = LazyConv1d(4, 3)
    >>> layer(torch.zeros(5, 2, 9)).shape, layer
    (torch.Size([5, 4, 7]), Conv1d(2, 4, kernel_size=(3,), stride=(1,)))
    """

    cls_to_become = Conv1d


class LazyConv2d(_Lazy, nn.LazyConv2d, Conv2d):  # type: ignore[misc]
    """:class:`Conv2d` that takes ``in_channels`` from its first input.

    >>> layer = LazyConv2d(4, 3, stride=2, padding="same")
    >>> layer(torch.zeros(5, 2, 9, 9)).shape, layer
    (torch.Size([5, 4, 5, 5]), Conv2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding=same))
    """

    cls_to_become = Conv2d


class LazyConv3d(_Lazy, nn.LazyConv3d, Conv3d):  # type: ignore[misc]
    """:class:`Conv3d` that takes ``in_channels`` from its first input.

    >>> layer = LazyConv3d(4, 3)
    >>> layer(torch.zeros(2, 5, 5, 5)).shape
    torch.Size([4, 3, 3, 3])
    """

    cls_to_become = Conv3d


@torch.no_grad()
def fill_kernel_(weight: Tensor, kernel: Tensor) -> Tensor:
    """Fill a convolution's weight with a known kernel, so that each output channel filters one input channel.

    Output channel ``o`` sees input channel ``o mod (C_in / groups)`` of its group and no other: a depthwise
    convolution filters every channel, one with ``C_in = C_out`` too.

    Args:
        weight: ``(C_out, C_in / groups, *k)``.
        kernel: ``(*k)``, or ``(C_out, *k)`` for a kernel of its own for each output channel; see
            :mod:`striate.filters`.

    Returns:
        ``weight``.

    Raises:
        ArgumentError: the kernel has another size.

    >>> layer = Conv2d(3, 3, 3, padding="same", groups=3, bias=False)
    >>> _ = fill_kernel_(layer.weight, torch.full((3, 3), 1 / 9))
    >>> layer(torch.ones(3, 5, 5))[:, 2, 2]  # the mean of a neighbourhood
    tensor([1., 1., 1.], grad_fn=<SelectBackward0>)
    """
    check_floating("fill_kernel_", kernel=kernel)
    if kernel.shape not in (weight.shape[2:], (weight.shape[0], *weight.shape[2:])):
        raise ArgumentError(
            f"fill_kernel_: kernel came with shape {tuple(kernel.shape)}; wanted {tuple(weight.shape[2:])}, the size "
            f"of the weight's kernels, or one for each of the {weight.shape[0]} output channels"
        )
    weight.zero_()
    channels = torch.arange(weight.shape[0], device=weight.device)
    weight[channels, channels % weight.shape[1]] = kernel.to(weight).expand(
        weight.shape[0], *weight.shape[2:]
    )
    return weight
