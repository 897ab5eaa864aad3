"""Transposed convolution: what is special to it; everything general is in tests/contract."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.functional as SF
import striate.nn as snn
from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry import output_size

FUNCTIONS = {1: SF.conv_transpose1d, 2: SF.conv_transpose2d, 3: SF.conv_transpose3d}
CONVOLUTIONS = {1: SF.conv1d, 2: SF.conv2d, 3: SF.conv3d}
LAYERS = {1: snn.ConvTranspose1d, 2: snn.ConvTranspose2d, 3: snn.ConvTranspose3d}
PYTORCHS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _randn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _near(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


# Known values and identities


def test_the_example_of_the_lecture_both_ways():
    """Laying scaled kernels on the output, and gathering with the kernel turned round, agree."""
    signal, kernel = torch.tensor([[2.0, 3.0, 0.0, -1.0]]), torch.tensor([[[1.0, 2.0, -1.0]]])
    wanted = [[2.0, 7.0, 4.0, -4.0, -2.0, 1.0]]
    assert SF.conv_transpose1d(signal, kernel).tolist() == wanted
    assert SF.conv1d(signal, kernel.flip(-1), padding=2).tolist() == wanted


def test_from_two_by_two():
    small, kernel = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)
    assert SF.conv_transpose2d(small, kernel).shape[2:] == (4, 4)
    assert SF.conv_transpose2d(small, kernel, stride=2).shape[2:] == (5, 5)


def test_a_kernel_that_the_stride_does_not_divide_makes_a_checkerboard():
    ones = torch.ones(1, 1, 5)
    uneven = SF.conv_transpose1d(ones, torch.ones(1, 1, 3), stride=2)[0, 0, 2:-2]
    assert uneven.tolist() == [2, 1, 2, 1, 2, 1, 2]
    even = SF.conv_transpose1d(ones, torch.ones(1, 1, 4), stride=2)[0, 0, 2:-2]
    assert set(even.tolist()) == {2}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"stride": 3, "dilation": 2, "groups": 2},
        {"dilation": 3, "padding": 2, "groups": 4},
    ],
    ids=str,
)
def test_it_is_the_transpose_of_convolution(rank: int, options):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ for the same weight, whatever x and y."""
    for n in (7, 8, 9):
        large = _randn(2, 4, *(n,) * rank)
        weight = _randn(8, 4 // options.get("groups", 1), *(3,) * rank)
        down = CONVOLUTIONS[rank](large, weight, **options)
        small = _randn(*down.shape)
        up = FUNCTIONS[rank](small, weight, **options, output_size=(n,) * rank)
        _near((down * small).sum(), (large * up).sum())


def test_as_a_matrix_it_is_the_transpose():
    signal, kernel = torch.eye(7, dtype=torch.float64)[:, None], _randn(1, 1, 3)
    matrix = SF.conv1d(signal, kernel, stride=2)[:, 0].T  # 3 × 7
    columns = torch.eye(3, dtype=torch.float64)[:, None]
    _near(SF.conv_transpose1d(columns, kernel, stride=2)[:, 0], matrix)


# Output sizes


def test_output_size_undoes_every_convolution():
    for n, k, s, p, d in itertools.product((5, 6, 7, 8, 9), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
        if p and k == 1:
            continue  # a window may then lie on the padding alone
        kernel = _randn(1, 1, k)
        small = _randn(1, 1, output_size(n, k, s, p, d))
        large = SF.conv_transpose1d(small, kernel, stride=s, padding=p, dilation=d, output_size=n)
        assert large.shape[2] == n
        extra = n - SF.conv_transpose1d(small, kernel, stride=s, padding=p, dilation=d).shape[2]
        assert torch.equal(
            large, F.conv_transpose1d(small, kernel, stride=s, padding=p, dilation=d, output_padding=extra)
        )


def test_every_size_is_reached_or_the_error_says_which_are():
    small, kernel = _randn(1, 1, 4), _randn(1, 1, 3)
    for s, d in itertools.product((1, 2, 3), (1, 2, 4)):
        least = (4 - 1) * s + d * (3 - 1) + 1
        for size in range(1, least + 8):
            if least <= size < least + max(s, d):
                assert (
                    SF.conv_transpose1d(small, kernel, stride=s, dilation=d, output_size=size).shape[2]
                    == size
                )
                continue
            with pytest.raises(ArgumentError) as caught:
                SF.conv_transpose1d(small, kernel, stride=s, dilation=d, output_size=size)
            assert f"wanted one from {least} to {least + max(s, d) - 1}" in str(caught.value)


@pytest.mark.parametrize("batch", [(), (2,)], ids=["no batch", "batch"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_output_size_may_hold_batch_and_channels(rank: int, batch: tuple[int, ...]):
    small, kernel = _randn(*batch, 2, *(4,) * rank), _randn(2, 3, *(3,) * rank)
    wanted = FUNCTIONS[rank](small, kernel, stride=2, output_padding=1)
    for size in (10, (10,) * rank, [10] * rank, torch.Size((10,) * rank), wanted.shape):
        assert torch.equal(FUNCTIONS[rank](small, kernel, stride=2, output_size=size), wanted)
        if not isinstance(size, int):
            layer, theirs = (kind[rank](2, 3, 3, stride=2).double() for kind in (LAYERS, PYTORCHS))
            theirs.load_state_dict(layer.state_dict())
            _near(layer(small, output_size=size), theirs(small, output_size=list(size)))


def test_a_layer_asked_for_a_size_forgets_its_output_padding():
    layer = snn.ConvTranspose1d(1, 1, 3, stride=2, output_padding=1)
    assert layer(torch.ones(1, 4)).shape == (1, 10)
    assert layer(torch.ones(1, 4), output_size=[9]).shape == (1, 9)


# Numbers and tensors that cannot be


@pytest.mark.parametrize("number", [2**31, 2**32 + 2, 2**62, 2**63 - 1, 2**63, 2**64])
def test_no_number_overflows(number: int):
    """PyTorch's kernels keep 32 bits of a stride, and compute with what is left."""
    image, kernel = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 5, 5)
    for option in ("stride", "dilation", "padding", "output_padding"):
        for device in ("cpu", "meta"):
            with pytest.raises(ArgumentError, match=f"conv_transpose2d: {option} came as {number}"):
                SF.conv_transpose2d(image.to(device), kernel.to(device), **{option: number})


@pytest.mark.parametrize("channels", [1, 16])  # one of PyTorch's kernels refuses, the other does not
def test_a_result_of_no_size_is_refused(channels: int):
    image, kernel = torch.ones(8, channels, 6, 6), torch.ones(channels, channels, 3, 3)
    for padding in (4, 5, 8):
        with pytest.raises(
            ArgumentError, match=f"padding came as {padding}, which leaves .* wanted at most 3"
        ):
            SF.conv_transpose2d(image, kernel, padding=padding)
    assert SF.conv_transpose2d(image, kernel, padding=3).shape[2:] == (2, 2)


@pytest.mark.parametrize("name", ["input", "weight", "bias"])
def test_devices_may_not_be_mixed(name: str):
    tensors = {"input": torch.ones(1, 1, 4, 4), "weight": torch.ones(1, 2, 3, 3), "bias": torch.ones(2)}
    for options in ({}, {"stride": 2, "output_size": 10}):
        with pytest.raises(ArgumentError, match=r"conv_transpose2d: .* is on .*; wanted one device"):
            SF.conv_transpose2d(**{**tensors, name: tensors[name].to("meta")}, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64], ids=str)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_dtypes_may_not_be_mixed(name: str, dtype: torch.dtype):
    tensors = {"input": torch.ones(1, 1, 4, 4), "weight": torch.ones(1, 2, 3, 3), "bias": torch.ones(2)}
    with pytest.raises(
        ArgumentError, match=f"conv_transpose2d: {name} came as {dtype} and input as torch.float32"
    ):
        SF.conv_transpose2d(**{**tensors, name: tensors[name].to(dtype)})


def test_autocast_mixes_them():
    tensors = {
        "input": torch.ones(1, 1, 4, 4),
        "weight": torch.ones(1, 2, 3, 3),
        "bias": torch.ones(2).bfloat16(),
    }
    with torch.autocast("cpu", torch.bfloat16):
        assert SF.conv_transpose2d(**tensors).dtype == torch.bfloat16


def test_a_wrong_kind_is_a_type_error_too():
    image, kernel = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for call in (
        lambda: SF.conv_transpose2d("picture", kernel),
        lambda: SF.conv_transpose2d(image, None),
        lambda: SF.conv_transpose2d(image, kernel, stride=None),
        lambda: SF.conv_transpose2d(image, kernel, padding="same"),
        lambda: SF.conv_transpose2d(image, kernel, output_size=6.0),
    ):
        with pytest.raises(ArgumentTypeError) as caught:
            call()
        assert isinstance(caught.value, TypeError) and str(caught.value).startswith("conv_transpose2d: ")


# Graphs


@pytest.mark.parametrize("options", [{"padding": 1}, {"output_size": (16, 24)}], ids=str)
def test_one_graph_and_export(options):
    torch._dynamo.reset()
    kernel = _randn(3, 4, 3, 3)

    def up(image: torch.Tensor) -> torch.Tensor:
        return SF.conv_transpose2d(image, kernel, stride=2, **options)

    image = _randn(2, 3, 7, 11)
    _near(torch.compile(up, fullgraph=True, backend="eager")(image), up(image))

    class Up(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return up(image)

    program = torch.export.export(Up(), (image,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    _near(program(_randn(5, 3, 7, 11)), up(_randn(5, 3, 7, 11)))


# Layers


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_are_pytorchs_and_trade_parameters(rank: int):
    options = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 2}
    mine, theirs = LAYERS[rank](4, 6, 3, **options), PYTORCHS[rank](4, 6, 3, **options)
    assert isinstance(mine, PYTORCHS[rank])
    mine.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 4, *(5,) * rank)
    torch.testing.assert_close(mine(image), theirs(image))
    theirs.load_state_dict(LAYERS[rank](4, 6, 3, **options).state_dict())
    plain = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    assert {name: getattr(mine, name) for name in plain} == plain


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"in_channels": 5, "groups": 2}, "divides in_channels = 5"),
        ({"out_channels": 5, "groups": 2}, "divides out_channels = 5"),
        ({"kernel_size": 0}, "kernel_size came as 0"),
        ({"padding": "same"}, "padding came as 'same'"),
        ({"padding_mode": "reflect"}, "padding_mode came as 'reflect'"),
        ({"output_padding": -1}, "output_padding came as -1"),
    ],
    ids=str,
)
def test_layers_refuse_settings_that_cannot_be(options, says: str):
    with pytest.raises(ArgumentError, match="ConvTranspose2d: ") as caught:
        snn.ConvTranspose2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **options})
    assert says in str(caught.value)


def test_a_lazy_layer_takes_its_channels_from_the_input():
    lazy = snn.LazyConvTranspose2d(4, 3, groups=2)
    assert lazy(torch.ones(6, 5, 5), output_size=(7, 7)).shape == (4, 7, 7)
    assert type(lazy) is snn.ConvTranspose2d and lazy.weight.shape == (6, 2, 3, 3)
    with pytest.raises(ArgumentError, match="LazyConvTranspose2d: groups came as 2"):
        snn.LazyConvTranspose2d(4, 3, groups=2)(torch.ones(3, 5, 5))


# The tent


@pytest.mark.parametrize("grouping", ["depthwise", "pairs", "dense"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_tent_up_samples_linearly(rank: int, stride: int, grouping: str):
    groups = {"depthwise": 4, "pairs": 2, "dense": 1}[grouping]
    layer = LAYERS[rank](4, 4, 2 * stride, stride, stride // 2, groups=groups, bias=False)
    snn.tent_(layer.weight, stride, groups=groups)
    image = torch.randn(2, 4, *(5,) * rank)
    wanted = F.interpolate(image, scale_factor=stride, mode=INTERPOLATIONS[rank], align_corners=False)
    inside = (
        slice(None),
        slice(None),
        *(slice(stride, 4 * stride),) * rank,
    )  # F.interpolate repeats the edge
    torch.testing.assert_close(layer(image).detach()[inside], wanted[inside], rtol=1e-5, atol=1e-6)


def test_a_tent_of_any_kernel_padding_and_of_different_strides():
    image = torch.randn(1, 2, 6, 7)
    wanted = F.interpolate(image, scale_factor=(2, 3), mode="bilinear", align_corners=False)
    for kernel, padding in (((4, 5), (1, 1)), ((7, 8), (1, 2)), ((6, 9), (3, 4))):
        layer = snn.ConvTranspose2d(2, 2, kernel, (2, 3), padding, groups=2, bias=False)
        snn.tent_(layer.weight, (2, 3), padding, groups=2)
        result = layer(image, output_size=None).detach()
        torch.testing.assert_close(result[:, :, 2:9, 3:17], wanted[:, :, 2:9, 3:17], rtol=1e-5, atol=1e-6)


def test_a_tent_that_cannot_be():
    with pytest.raises(ArgumentError, match=r"4 channels in and 2·1 out; wanted as many in as out"):
        snn.tent_(torch.empty(4, 2, 4), 2)
    with pytest.raises(
        ArgumentError, match=r"kernel size 3 and padding=1 came with stride=2; .* = 4 at least"
    ):
        snn.tent_(torch.empty(2, 2, 3), 2)
    with pytest.raises(ArgumentError, match=r"padding of stride // 2 = 2 at least"):
        snn.tent_(torch.empty(2, 2, 8), 4, padding=1)
