"""Convolution: what is special to it; everything general is in tests/contract."""

from __future__ import annotations

import copy
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.functional as SF
import striate.nn as snn
from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry import same_padding
from striate.ops._library import NATIVE
from striate.ops.conv.pointwise import is_pointwise, pointwise_conv
from striate.ops.conv.reference import conv

FUNCTIONS = {1: SF.conv1d, 2: SF.conv2d, 3: SF.conv3d}
LAYERS = {1: snn.Conv1d, 2: snn.Conv2d, 3: snn.Conv3d}
PYTORCHS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _randn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _near(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


# Known values and identities


def test_the_homework_of_the_lecture():
    layer = snn.Conv2d(3, 6, 5)
    assert layer(torch.zeros(1, 3, 32, 32)).shape == (1, 6, 28, 28)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 456
    first, second = snn.Conv2d(1, 6, 5), snn.Conv2d(6, 16, 5)
    assert (first.weight.numel(), second.weight.numel()) == (150, 2400)
    assert snn.Conv2d(100, 100, 3).weight.numel() == 90_000
    assert snn.Conv2d(100, 100, 3, groups=10).weight.numel() == 9_000


def test_the_kernel_is_not_turned_round():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    kernel = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert torch.equal(SF.conv2d(image, kernel, padding=1)[0, 0, 1:4, 1:4], kernel[0, 0].flip(0, 1))


@pytest.mark.parametrize("rate", [2, 3])
def test_dilation_convolves_each_phase_and_interleaves_them(rate: int):
    """ "Equals subsample, then convolve" holds for every one of the r² phases, not for one of them."""
    image, kernel = _randn(2, 3, 12, 18), _randn(4, 3, 3, 2)
    dilated = SF.conv2d(image, kernel, dilation=rate)
    for row, column in itertools.product(range(rate), repeat=2):
        phase = SF.conv2d(image[:, :, row::rate, column::rate].contiguous(), kernel)
        _near(dilated[:, :, row::rate, column::rate], phase)


def test_one_by_one_is_a_matrix_product_across_channels():
    image, kernel, bias = _randn(2, 5, 3, 4), _randn(6, 5, 1, 1), _randn(6)
    mixed = torch.einsum("oc,nchw->nohw", kernel[:, :, 0, 0], image) + bias[:, None, None]
    _near(SF.conv2d(image, kernel, bias), mixed)


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_groups_are_convolutions_side_by_side(groups: int):
    image, kernel = _randn(2, 6, 7, 6), _randn(12, 6 // groups, 3, 3)
    parts = zip(image.chunk(groups, 1), kernel.chunk(groups, 0), strict=True)
    apart = torch.cat([SF.conv2d(part, share, padding=1) for part, share in parts], 1)
    _near(SF.conv2d(image, kernel, padding=1, groups=groups), apart)


def test_two_convolutions_without_activation_are_one():
    signal, first, second = _randn(1, 1, 20), _randn(1, 1, 3), _randn(1, 1, 4)
    both = SF.conv1d(first, second.flip(-1), padding=3).flip(-1)  # the full convolution of the kernels
    _near(SF.conv1d(SF.conv1d(signal, first), second), SF.conv1d(signal, both.flip(-1)))


# Beyond PyTorch


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_same_gives_one_position_for_every_stride_begun(rank: int):
    for n, k, s, d in itertools.product((1, 4, 5, 6), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2)):
        image, kernel = _randn(1, 2, *(n,) * rank), _randn(3, 2, *(k,) * rank)
        result = FUNCTIONS[rank](image, kernel, stride=s, padding="same", dilation=d)
        assert result.shape[2:] == (-(-n // s),) * rank
        padded = F.pad(image, same_padding(n, k, s, d) * rank)
        _near(result, getattr(F, f"conv{rank}d")(padded, kernel, stride=s, dilation=d))


def test_same_pads_where_keras_and_tensorflow_do():
    """8 samples, kernel 3, stride 2: nothing before, one after."""
    signal, first_tap = torch.arange(1.0, 9.0).reshape(1, 1, 8), torch.tensor([[[1.0, 0.0, 0.0]]])
    assert SF.conv1d(signal, first_tap, stride=2, padding="same").tolist() == [[[1.0, 3.0, 5.0, 7.0]]]
    last_tap = torch.tensor([[[0.0, 0.0, 1.0]]])
    assert SF.conv1d(signal, last_tap, stride=2, padding="same").tolist() == [[[3.0, 5.0, 7.0, 0.0]]]


def test_same_with_an_even_kernel_is_pytorchs_without_its_warning():
    image, kernel = _randn(2, 3, 7, 8), _randn(4, 3, 4, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = F.conv2d(image, kernel, padding="same")
    assert torch.equal(SF.conv2d(image, kernel, padding="same"), theirs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pairs", [((1, 2), (0, 1)), ((2, 2), (3, 0)), ((0, 0), (0, 3))], ids=str)
def test_pairs_of_paddings(mode: str, pairs: tuple[tuple[int, int], ...]):
    image, kernel, bias = _randn(2, 4, 5, 6), _randn(6, 2, 3, 3), _randn(6)
    padded = F.pad(image, (*pairs[1], *pairs[0]), MODES[mode])
    options = {"stride": (2, 1), "groups": 2}
    result = SF.conv2d(image, kernel, bias, padding=pairs, padding_mode=mode, **options)
    _near(result, F.conv2d(padded, kernel, bias, **options))
    alone = SF.conv2d(image[0], kernel, bias, padding=pairs, padding_mode=mode, **options)
    _near(alone, result[0])


def test_one_pair_stands_for_every_dimension():
    image, kernel = _randn(1, 2, 5, 6), _randn(3, 2, 3, 3)
    both = SF.conv2d(image, kernel, padding=((1, 2), (1, 2)))
    assert torch.equal(SF.conv2d(image, kernel, padding=((1, 2),)), both)
    assert torch.equal(SF.conv2d(image, kernel, padding=[[1, 2], [1, 2]]), both)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", [2, 3])
def test_every_mode_keeps_channels_last(mode: str, rank: int):
    last = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    image = torch.randn(2, 8, *(6,) * rank).contiguous(memory_format=last)
    result = FUNCTIONS[rank](image, torch.randn(4, 8, *(3,) * rank), padding=((1, 2),), padding_mode=mode)
    assert result.is_contiguous(memory_format=last)


@pytest.mark.parametrize("mode", MODES)
def test_a_number_that_is_none_stays_in_its_windows(mode: str):
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = torch.nan
    spread = SF.conv2d(image, torch.ones(1, 1, 3, 3), padding=((1, 1),), padding_mode=mode).isnan()
    assert spread.sum() == 9 and spread[0, 0, 3:6, 3:6].all()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float16, torch.int64], ids=str)
def test_what_pytorch_can_convolve_may_be_padded_in_every_way(dtype: torch.dtype):
    image, kernel = (10 * _randn(1, 2, 5, 6)).to(dtype), (10 * _randn(3, 2, 3, 3)).to(dtype)
    result = SF.conv2d(image, kernel, stride=2, padding=((1, 0), (2, 1)))
    assert result.dtype == dtype
    assert torch.equal(result, F.conv2d(F.pad(image, (2, 1, 1, 0)), kernel, stride=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_windows_wider_than_the_picture(dtype: torch.dtype):
    """First and last taps that only ever meet padding change nothing, nor does what no window meets."""
    for n, k, s, d in itertools.product((1, 2, 5), (1, 2, 3, 4), (1, 2, 7), (1, 2, 5, 50)):
        exact = [_randn(2, 2, n), _randn(3, 2, k), _randn(3)]
        rounded = [tensor.to(dtype).requires_grad_() for tensor in exact]
        exact = [tensor.detach().double().requires_grad_() for tensor in rounded]
        for padding in ("same", d * (k - 1), ((0, d * (k - 1)),), ((d * k, 0),)):
            got = SF.conv1d(*rounded, s, padding, d)
            wanted = conv(*exact, s, padding, d)
            slopes = torch.autograd.grad(got.sum(), rounded), torch.autograd.grad(wanted.sum(), exact)
            for one, other in zip((got, *slopes[0]), (wanted, *slopes[1]), strict=True):
                torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


# Numbers and tensors that cannot be


def test_whole_numbers_may_be_numpys():
    image, kernel = _randn(1, 4, 7, 8), _randn(4, 2, 3, 3)
    two = np.int64(2)
    wanted = F.conv2d(image, kernel, stride=2, padding=2, dilation=2, groups=2)
    _near(SF.conv2d(image, kernel, None, two, two, two, two), wanted)
    _near(SF.conv2d(image, kernel, None, two, ((two, two), (two, two)), two, two), wanted)
    assert snn.Conv2d(4, 6, two, stride=two, padding=two).kernel_size == (2, 2)


@pytest.mark.parametrize("number", [2**31, 2**62, 2**63 - 1, 2**63, 2**64])
def test_no_number_overflows(number: int):
    """PyTorch computes something for a dilation of 2⁶², whose reach it takes for 2⁶³ + 1 − 2⁶⁴."""
    image, kernel = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for option in ("stride", "dilation", "padding"):
        for value in (number, (1, number)):
            for device in ("cpu", "meta"):
                with pytest.raises(ArgumentError, match=f"conv2d: {option} came as .*{number}"):
                    SF.conv2d(image.to(device), kernel.to(device), **{option: value})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_largest_numbers_are_computed(dtype: torch.dtype):
    image, kernel = _randn(2, 2, 6, 6).to(dtype), _randn(2, 2, 3, 3).to(dtype)
    most = 2**31 - 1
    assert torch.equal(SF.conv2d(image, kernel, stride=most), F.conv2d(image, kernel, stride=6))
    centre = SF.conv2d(image, kernel, padding="same", dilation=most)  # all taps but one lie on the padding
    torch.testing.assert_close(centre, F.conv2d(image, kernel[:, :, 1:2, 1:2]))


@pytest.mark.parametrize("name", ["input", "weight", "bias"])
def test_devices_may_not_be_mixed(name: str):
    """PyTorch computes beside a tensor of the meta device with memory that nobody has written."""
    tensors = {"input": torch.ones(1, 1, 4, 4), "weight": torch.ones(2, 1, 3, 3), "bias": torch.ones(2)}
    for options in (
        {},
        {"padding": "same", "stride": 2},
        {"padding": ((1, 0), 1), "padding_mode": "reflect"},
    ):
        with pytest.raises(ArgumentError, match=r"conv2d: .* is on .*; wanted one device"):
            SF.conv2d(**{**tensors, name: tensors[name].to("meta")}, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64], ids=str)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_dtypes_may_not_be_mixed(name: str, dtype: torch.dtype):
    tensors = {"input": torch.ones(1, 1, 4, 4), "weight": torch.ones(2, 1, 3, 3), "bias": torch.ones(2)}
    with pytest.raises(ArgumentError, match=f"conv2d: {name} came as {dtype} and input as torch.float32"):
        SF.conv2d(**{**tensors, name: tensors[name].to(dtype)})


def test_a_wrong_kind_is_a_type_error_too():
    image, kernel = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for call in (
        lambda: SF.conv2d("picture", kernel),
        lambda: SF.conv2d(image, None),
        lambda: SF.conv2d(image, kernel, stride=None),
        lambda: SF.conv2d(image, kernel, groups=1.0),
        lambda: SF.conv2d(image, kernel, padding=True),
    ):
        with pytest.raises(ArgumentTypeError) as caught:
            call()
        assert isinstance(caught.value, TypeError) and str(caught.value).startswith("conv2d: ")


def test_memory_that_is_not_there_is_no_wrong_argument():
    image, kernel = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    with pytest.raises(RuntimeError, match="allocate") as caught:
        SF.conv2d(image, kernel, padding=2**20)  # 2⁴² numbers
    assert not isinstance(caught.value, ArgumentError)


# Graphs

GRAPHS = [
    {"stride": 2, "padding": "same"},
    {"padding": "same"},
    {"stride": (2, 1), "padding": ((1, 2), (0, 1))},
    {"padding": ((2, 1), 1), "stride": 2, "padding_mode": "circular"},
    {"padding": 2, "padding_mode": "reflect", "dilation": 2},
]


@pytest.mark.parametrize("options", GRAPHS, ids=str)
def test_one_graph_serves_every_size(options):
    torch._dynamo.reset()
    kernel = _randn(4, 3, 3, 2)
    compiled = torch.compile(
        lambda image: SF.conv2d(image, kernel, **options), fullgraph=True, dynamic=True, backend="eager"
    )
    for shape in ((7, 3, 8, 10), (6, 3, 11, 13), (5, 3, 20, 9)):
        image = _randn(*shape)
        with torch.compiler.set_stance("default" if shape[0] == 7 else "fail_on_recompile"):
            _near(compiled(image), SF.conv2d(image, kernel, **options))


@pytest.mark.parametrize("options", GRAPHS, ids=str)
def test_export_with_any_batch_height_and_width(options):
    layer = snn.Conv2d(3, 4, (3, 2), **options).double()
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.export.export(layer, (_randn(2, 3, 8, 9),), dynamic_shapes=(sizes,)).module()
    for shape in ((2, 3, 8, 9), (5, 3, 11, 12)):
        _near(program(_randn(*shape)), layer(_randn(*shape)))


# Layers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_are_pytorchs_and_trade_parameters(rank: int, mode: str):
    options = {"stride": 2, "padding": 2, "dilation": 2, "groups": 2, "padding_mode": mode}
    mine, theirs = LAYERS[rank](4, 6, 3, **options), PYTORCHS[rank](4, 6, 3, **options)
    assert isinstance(mine, PYTORCHS[rank])
    mine.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 4, *(9,) * rank)
    torch.testing.assert_close(mine(image), theirs(image))
    theirs.load_state_dict(LAYERS[rank](4, 6, 3, **options).state_dict())
    assert mine._reversed_padding_repeated_twice == list(theirs._reversed_padding_repeated_twice)
    plain = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    assert {name: getattr(mine, name) for name in plain} == plain


@pytest.mark.parametrize("padding", ["same", ((1, 2), (0, 3)), ((2, 2), 1)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_layers_pad_in_every_way(mode: str, padding):
    layer = snn.Conv2d(2, 3, (4, 3), stride=2, padding=padding, padding_mode=mode).double()
    image = _randn(2, 2, 7, 8)
    wanted = conv(image, layer.weight, layer.bias, 2, padding, padding_mode=mode)
    _near(layer(image), wanted)
    _near(copy.deepcopy(layer)(image), wanted)
    lazy = snn.LazyConv2d(3, (4, 3), stride=2, padding=padding, padding_mode=mode).double()
    lazy.load_state_dict(layer.state_dict())
    _near(lazy(image), wanted)
    assert type(lazy) is snn.Conv2d and lazy.in_channels == 2


def test_a_layer_keeps_its_padding_in_the_plainest_form():
    assert snn.Conv2d(1, 1, 3, padding=((2, 2), (1, 1))).padding == (2, 1)
    assert snn.Conv2d(1, 1, 3, padding=((2, 2), 1)).padding == (2, 1)
    assert snn.Conv2d(1, 1, 3, padding=((2, 1), 1)).padding == ((2, 1), (1, 1))
    assert snn.Conv1d(1, 1, 3, padding=[2]).padding == (2,)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"in_channels": 5, "groups": 2},
            "groups came as 2; wanted a number from 1 that divides in_channels = 5",
        ),
        ({"out_channels": 5, "groups": 2}, "divides out_channels = 5"),
        ({"groups": 0}, "groups came as 0"),
        ({"in_channels": -4}, "in_channels came as -4"),
        ({"kernel_size": 0}, "kernel_size came as 0"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size came with 3 numbers"),
        ({"stride": 2.0}, "stride came as 2.0"),
        ({"dilation": 2**31}, "dilation came as 2147483648"),
        ({"padding": "SAME"}, "padding came as 'SAME'"),
        ({"padding": -1}, "padding came as -1"),
        ({"padding_mode": "mirror"}, "padding_mode came as 'mirror'"),
    ],
    ids=str,
)
def test_layers_refuse_settings_that_cannot_be(options, says: str):
    with pytest.raises(ArgumentError, match="Conv2d: ") as caught:
        snn.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **options})
    assert says in str(caught.value)


def test_lazy_layers_refuse_inputs_that_cannot_be():
    with pytest.raises(ArgumentError, match=r"LazyConv2d: input came with 2 dimensions.*\(N, C, H, W\)"):
        snn.LazyConv2d(4, 3)(torch.ones(5, 5))
    with pytest.raises(ArgumentError, match=r"LazyConv2d: groups came as 2; .* in_channels = 3"):
        snn.LazyConv2d(4, 3, groups=2)(torch.ones(3, 5, 5))
    with pytest.raises(ArgumentError, match=r"LazyConv2d: groups came as 3; .* out_channels = 4"):
        snn.LazyConv2d(4, 3, groups=3)(torch.ones(3, 5, 5))


def test_fill_kernel():
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    image = torch.randn(1, 4, 6, 7)
    wanted = F.conv2d(image, sobel.expand(4, 1, 3, 3), groups=4)
    for groups in (1, 2, 4):
        layer = snn.Conv2d(4, 4, 3, groups=groups, bias=False)
        assert snn.fill_kernel_(layer.weight, sobel.double()) is layer.weight
        torch.testing.assert_close(layer(image).detach(), wanted)
    both = snn.Conv2d(1, 2, 3, bias=False)
    snn.fill_kernel_(both.weight, torch.stack([sobel, sobel.T]))
    assert torch.equal(both.weight[:, 0], torch.stack([sobel, sobel.T]))
    with pytest.raises(ArgumentError, match=r"kernel came with shape \(2, 2\); wanted \(3, 3\)"):
        snn.fill_kernel_(both.weight, torch.ones(2, 2))


@pytest.mark.parametrize("with_bias", [False, True])
def test_a_pointwise_convolution_is_a_product(with_bias: bool):
    x, weight, bias = _randn(3, 5, 4, 6), _randn(7, 5, 1, 1), _randn(7) if with_bias else None
    tensors = [t.requires_grad_() for t in (x, weight, bias) if t is not None]
    one, other = pointwise_conv(x, weight, bias), F.conv2d(x, weight, bias)
    _near(one, other)
    gradient = torch.randn_like(other)
    found, wanted = torch.autograd.grad(one, tensors, gradient), torch.autograd.grad(other, tensors, gradient)
    for a, b in zip(found, wanted, strict=True):
        _near(a, b)


HAS_PRODUCTS = NATIVE.loaded and torch._C.has_mkl


def test_large_pointwise_convolutions_are_products_where_columns_lie_side_by_side():
    x, weight, bias = torch.empty(32, 80, 56, 56), torch.empty(96, 80, 1, 1), torch.empty(96)
    assert is_pointwise(x, weight, bias, 1, 0, 1) is HAS_PRODUCTS
    assert not is_pointwise(x[:8], weight, bias, 1, 0, 1)
    assert not is_pointwise(x.contiguous(memory_format=torch.channels_last), weight, bias, 1, 0, 1)
    assert not is_pointwise(x, weight, bias, 2, 0, 1)
    assert not is_pointwise(x.bfloat16(), weight.bfloat16(), bias.bfloat16(), 1, 0, 1)
    assert not is_pointwise(x[:, :0], weight[:, :0], bias, 1, 0, 1)


@pytest.mark.parametrize(
    ("images", "ins", "outs", "side", "is_product"),
    [
        (8, 24, 96, 14, True),
        (2, 16, 96, 14, True),
        (1, 16, 96, 28, False),  # a single picture
        (8, 128, 96, 14, False),  # many channels
        (64, 16, 256, 6, False),  # more gradients of the weight than there are pixels
        (2, 16, 96, 8, False),  # small
    ],
)
def test_pointwise_convolutions_of_few_channels_are_products(images, ins, outs, side, is_product):
    x, weight = torch.empty(images, ins, side, side), torch.empty(outs, ins, 1, 1)
    assert is_pointwise(x, weight, None, 1, 0, 1) is (is_product and HAS_PRODUCTS)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("of_weight", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 12, 40])
def test_pointwise_convolutions_have_pytorchs_layout(form, of_weight, channels):
    x = torch.randn(8, channels, 20, 20).to(memory_format=form).requires_grad_()
    weight = torch.randn(32, channels, 1, 1).to(memory_format=of_weight).requires_grad_()
    found, wanted = SF.conv2d(x, weight), F.conv2d(x, weight)
    assert found.stride() == wanted.stride()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    gradient = torch.randn_like(wanted)
    for a, b in zip(
        torch.autograd.grad(found, (x, weight), gradient),
        torch.autograd.grad(wanted, (x, weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-2)


class _Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return SF.conv2d(x, self.weight)


def test_a_dense_convolution_is_exported_for_batches_of_any_size():
    x = torch.randn(4, 6, 20, 20)
    batch = torch.export.Dim("batch", min=2, max=1_000_000)
    exported = torch.export.export(_Dense(), (x,), dynamic_shapes={"x": {0: batch}})
    assert exported.module()(torch.randn(300, 6, 20, 20)).shape == (300, 8, 20, 20)
