"""Transposed convolution as layers, and the start values that make it a plain up-sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from striate.errors import ArgumentError
from striate.geometry.arguments import Whole
from striate.ops._checks import per_dimension
from striate.ops.conv.layer import _Lazy, check_channels
from striate.ops.conv_transpose.op import conv_transpose1d, conv_transpose2d, conv_transpose3d

FUNCTIONS = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}


class _ConvTranspose(_ConvTransposeNd):
    """The body of the layers of every rank; stands before PyTorch's layer, which holds the parameters."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Whole = 0,
        output_padding: Whole = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Whole = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        name = type(self).__name__
        check_channels(name, in_channels, out_channels, groups)
        if padding_mode != "zeros":
            raise ArgumentError(
                f"{name}: padding_mode came as {padding_mode!r}; wanted 'zeros': its padding cuts off, and adds nothing"
            )
        kernel, strides, pads, extras, dilations = (
            per_dimension(name, argument, value, self.rank, least)
            for argument, value, least in (
                ("kernel_size", kernel_size, 1),
                ("stride", stride, 1),
                ("padding", padding, 0),
                ("output_padding", output_padding, 0),
                ("dilation", dilation, 1),
            )
        )
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            strides,
            pads,
            extras,
            groups,
            bias,
            dilations,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return FUNCTIONS[self.rank](
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,  # type: ignore[arg-type]
            self.output_padding if output_size is None else 0,
            self.groups,
            self.dilation,
            output_size,
        )


class ConvTranspose1d(_ConvTranspose, nn.ConvTranspose1d):
    """Transposed convolution along one dimension; see :class:`ConvTranspose2d`.

    Shape: ``(N, C_in, L)`` → ``(N, C_out, L_out)``; the batch may be left out.

    >>> ConvTranspose1d(2, 4, 4, stride=2, padding=1)(torch.zeros(5, 2, 9)).shape
    torch.Size([5, 4, 18])
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose, nn.ConvTranspose2d):
    """Transposed convolution: learned up-sampling; a :class:`torch.nn.ConvTranspose2d`.

    Parameters, their start values, state dict and printed form are those of PyTorch's layer. To start as
    bilinear up-sampling instead, see :func:`striate.nn.tent_`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        stride: output samples from one copy of the kernel to the next.
        padding: output samples cut off at both ends.
        output_padding: output samples added at the end, where no ``output_size`` is asked for.
        groups: blocks of channels that do not see each other.
        bias: whether a bias is learned, one for each output channel.
        dilation: output samples from one tap to the next.
        padding_mode: ``"zeros"`` and nothing else.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        weight: ``(C_in, C_out / groups, kH, kW)``.
        bias: ``(C_out,)`` or ``None``.

    Shape: ``(N, C_in, H, W)`` → ``(N, C_out, H_out, W_out)``; the batch may be left out. ``forward`` takes
    the wanted ``output_size``, ``(H_out, W_out)`` or with the batch and channels, as PyTorch's does. See
    :func:`striate.functional.conv_transpose2d` for the formula.

    Raises:
        ArgumentError: settings that do not fit together, or an input or a size that does not fit them.

    Source:
        See :func:`striate.functional.conv_transpose2d`.

    >>> layer = ConvTranspose2d(8, 4, 3, stride=2)
    >>> layer(torch.zeros(1, 8, 2, 2)).shape, layer(torch.zeros(1, 8, 2, 2), output_size=(6, 5)).shape
    (torch.Size([1, 4, 5, 5]), torch.Size([1, 4, 6, 5]))
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose, nn.ConvTranspose3d):
    """Transposed convolution of volumes; see :class:`ConvTranspose2d`.

    Shape: ``(N, C_in, D, H, W)`` → ``(N, C_out, D_out, H_out, W_out)``; the batch may be left out.

    >>> ConvTranspose3d(1, 2, 2, stride=2)(torch.zeros(1, 2, 3, 4)).shape
    torch.Size([2, 4, 6, 8])
    """

    rank = 3


class LazyConvTranspose1d(_Lazy, nn.LazyConvTranspose1d, ConvTranspose1d):  # type: ignore[misc]
    """:class:`ConvTranspose1d` that takes ``in_channels`` from its first input.

    >>> LazyConvTranspose1d(4, 3)(torch.zeros(5, 2, 9)).shape
    torch.Size([5, 4, 11])
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_Lazy, nn.LazyConvTranspose2d, ConvTranspose2d):  # type: ignore[misc]
    """:class:`ConvTranspose2d` that takes ``in_channels`` from its first input.

    >>> layer = LazyConvTranspose2d(4, 2, stride=2)
    >>> layer(torch.zeros(5, 2, 3, 3)).shape, layer
    (torch.Size([5, 4, 6, 6]), ConvTranspose2d(2, 4, kernel_size=(2, 2), stride=(2, 2)))
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_Lazy, nn.LazyConvTranspose3d, ConvTranspose3d):  # type: ignore[misc]
    """:class:`ConvTranspose3d` that takes ``in_channels`` from its first input.

    >>> LazyConvTranspose3d(4, 3)(torch.zeros(2, 5, 5, 5)).shape
    torch.Size([4, 7, 7, 7])
    """

    cls_to_become = ConvTranspose3d


@torch.no_grad()
def tent_(weight: Tensor, stride: Whole, padding: Whole | None = None, groups: int = 1) -> Tensor:
    """Fill a transposed convolution's weight so that it up-samples every channel linearly: the tent.

    ``weight[c, c, k] = max(0, 1 − |k − padding − (stride − 1) / 2| / stride)`` in every dimension, multiplied;
    0 between different channels. Away from the border the layer then computes what
    ``F.interpolate(mode="linear" | "bilinear" | "trilinear")`` does with ``scale_factor=stride``; learning
    goes on from there.

    Args:
        weight: ``(C, C / groups, *k)``, with kernels of ``stride + padding + stride // 2`` taps at least.
        stride: of the layer.
        padding: of the layer, ``stride // 2`` at least; by default just that, with which the kernel
            of ``2 · stride`` taps that is usual gives ``stride`` times the input if ``stride`` is even;
            ``2 · stride − 1`` taps do if it is odd.
        groups: of the layer.

    Returns:
        ``weight``.

    Raises:
        ArgumentError: different numbers of channels in and out, or a kernel or a padding too small for the tent.

    Source:
        Long, Shelhamer, Darrell, *Fully convolutional networks for semantic segmentation*, 2015,
        section 3.3.

    >>> layer = ConvTranspose1d(1, 1, 4, stride=2, padding=1, bias=False)
    >>> tent_(layer.weight, stride=2).flatten().tolist()
    [0.25, 0.75, 0.75, 0.25]
    >>> layer(torch.tensor([[0.0, 4.0, 8.0]])).detach()
    tensor([[0., 1., 3., 5., 7., 6.]])
    """
    rank = weight.dim() - 2
    strides = per_dimension("tent_", "stride", stride, rank)
    pads = per_dimension(
        "tent_", "padding", tuple(s // 2 for s in strides) if padding is None else padding, rank, least=0
    )
    if weight.shape[0] != weight.shape[1] * groups:
        raise ArgumentError(
            f"tent_: weight came with shape {tuple(weight.shape)} and groups={groups}: {weight.shape[0]} channels in and "
            f"{weight.shape[1]}·{groups} out; wanted as many in as out, as each is up-sampled by itself"
        )
    tent = weight.new_ones(())
    for k, s, p in zip(weight.shape[2:], strides, pads, strict=True):
        if p < s // 2 or k < p + s + s // 2:
            raise ArgumentError(
                f"tent_: kernel size {k} and padding={p} came with stride={s}; wanted padding of stride // 2 = {s // 2} "
                f"at least and a kernel of padding + stride + stride // 2 = {max(p, s // 2) + s + s // 2} at least"
            )
        distance = (torch.arange(k, device=weight.device, dtype=torch.float64) - p - (s - 1) / 2).abs()
        tent = tent.unsqueeze(-1) * (1 - distance / s).clamp(min=0).to(weight.dtype)
    weight.zero_()
    channels = torch.arange(weight.shape[0], device=weight.device)
    weight[channels, channels % weight.shape[1]] = tent
    return weight
