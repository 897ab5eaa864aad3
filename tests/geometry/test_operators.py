"""Sizes, parameters, multiply-adds, connections and memory against real layers and hand counts."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from striate import geometry
from striate.errors import ArgumentError
from striate.geometry import output_size

small = st.integers(1, 5)
pair = st.tuples(st.integers(0, 4), st.integers(0, 4))


def real(layer: nn.Module, *shape: int) -> tuple[int, ...]:
    """What a layer really gives for one picture, without doing the arithmetic."""
    return tuple(layer.to("meta")(torch.empty(1, *shape, device="meta")).shape[1:])


class TestTheLecturesNumbers:
    def test_a_megapixel_into_20_units(self):
        layer = geometry.linear((3, 1000, 1000), 20)
        assert (layer.weights, layer.biases, layer.macs) == (60_000_000, 20, 60_000_000)

    def test_lenet(self):
        first, second = geometry.conv((1, 32, 32), 6, 5), geometry.conv((6, 14, 14), 16, 5)
        assert (first.weights, second.weights) == (150, 2_400)
        assert (first.parameters, second.parameters) == (156, 2_416)
        whole = geometry.chain(
            (1, 32, 32),
            lambda x: geometry.conv(x, 6, 5),
            lambda x: geometry.pool(x, 2),
            lambda x: geometry.conv(x, 16, 5),
            lambda x: geometry.pool(x, 2),
            lambda x: geometry.linear(x, 120),
            lambda x: geometry.linear(x, 84),
            lambda x: geometry.linear(x, 10),
        )
        assert (whole.output, whole.parameters) == ((10,), 61_706)

    def test_the_homework(self):
        layer = geometry.conv((3, 32, 32), 6, 5)
        assert (layer.output, layer.parameters, layer.macs) == ((6, 28, 28), 456, 352_800)

    def test_100_channels_in_tens(self):
        dense, grouped = (geometry.conv((100, 9, 9), 100, 3, groups=groups).weights for groups in (1, 10))
        assert (dense, grouped) == (90_000, 9_000)

    def test_pooling_4_by_4(self):
        assert geometry.pool((1, 4, 4), 2).output == (1, 2, 2)
        assert geometry.pool((1, 4, 4), 2, stride=1).output == (1, 3, 3)

    def test_sixteen_inputs_ten_outputs(self):
        """Row 12: a window of 6 over 16 inputs, against all of them."""
        assert output_size(4, 2) ** 2 == 9
        window = geometry.conv((1, 15), 1, 6)
        assert (window.output, window.connections) == ((1, 10), 60)


class TestSizes:
    @given(size=st.integers(1, 40), kernel=small, stride=small, padding=pair, dilation=small)
    def test_convolution(self, size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int):
        if size + sum(padding) < dilation * (kernel - 1) + 1:
            with pytest.raises(ArgumentError, match="does not fit"):
                output_size(size, kernel, stride, padding, dilation)
            return
        x = F.pad(torch.empty(1, 1, size, device="meta"), padding)
        layer = nn.Conv1d(1, 1, kernel, stride, 0, dilation, device="meta")
        assert output_size(size, kernel, stride, padding, dilation) == layer(x).shape[-1]
        assert geometry.conv((1, size), 1, kernel, stride, (padding,), dilation).output == layer(x).shape[1:]

    @pytest.mark.filterwarnings("ignore:Using padding='same'")
    @given(size=st.integers(1, 40), kernel=small, dilation=small)
    def test_same(self, size: int, kernel: int, dilation: int):
        layer = nn.Conv1d(1, 1, kernel, 1, "same", dilation, device="meta")
        mine = geometry.conv((1, size), 1, kernel, 1, "same", dilation)
        assert mine.output == layer(torch.empty(1, 1, size, device="meta")).shape[1:]

    @given(size=st.integers(1, 40), kernel=small, stride=small, dilation=small)
    def test_same_with_stride(self, size: int, kernel: int, stride: int, dilation: int):
        before, after = geometry.same_padding(size, kernel, stride, dilation)
        assert after - before in (0, 1)
        assert geometry.conv((1, size), 1, kernel, stride, "same", dilation).output == (1, -(-size // stride))

    @given(
        size=st.integers(1, 30),
        kernel=small,
        stride=small,
        dilation=small,
        ceil=st.booleans(),
        data=st.data(),
    )
    def test_pooling(self, size: int, kernel: int, stride: int, dilation: int, ceil: bool, data: Any):
        padding = data.draw(st.integers(0, kernel // 2))
        assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
        maximum = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
        mine = geometry.pool((3, size, 30), kernel, stride, padding, dilation, ceil).output
        assert mine == real(maximum, 3, size, 30)
        if dilation == 1:
            assert mine == real(nn.AvgPool2d(kernel, stride, padding, ceil), 3, size, 30)
        if dilation == 1 and padding == 0:
            assert mine == real(nn.LPPool2d(2, kernel, stride, ceil), 3, size, 30)

    @given(size=st.integers(1, 20), kernel=small, stride=small, dilation=small, data=st.data())
    def test_transposed(self, size: int, kernel: int, stride: int, dilation: int, data: Any):
        padding = data.draw(st.integers(0, 4))
        extra = data.draw(st.integers(0, max(stride, dilation) - 1))
        layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, extra, 1, True, dilation)
        settings = (1, kernel, stride, padding, extra, 1, True, dilation)
        if (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1 < 1:
            with pytest.raises(ArgumentError, match="wanted less than"):
                geometry.conv_transpose((1, size), *settings)
            return
        assert geometry.conv_transpose((1, size), *settings).output == real(layer, 1, size)

    @given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)), bins=st.tuples(small, small))
    def test_adaptive_and_global(self, size: tuple[int, int], bins: tuple[int, int]):
        assert geometry.adaptive_pool((2, *size), bins).output == real(nn.AdaptiveAvgPool2d(bins), 2, *size)
        kept = geometry.adaptive_pool((2, *size), (None, bins[1]))
        assert kept.output == real(nn.AdaptiveMaxPool2d((None, bins[1])), 2, *size)
        assert geometry.global_pool((2, *size)).output == (2, 1, 1)

    @pytest.mark.parametrize("size", [(9,), (9, 8), (9, 8, 7)])
    def test_every_rank(self, size: tuple[int, ...]):
        rank = len(size)
        layers = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
        mine = geometry.conv((4, *size), 6, 3, 2, 1, groups=2)
        layer = layers[rank](4, 6, 3, 2, 1, groups=2)
        assert mine.output == real(layer, 4, *size)
        assert mine.parameters == sum(p.numel() for p in layer.parameters())


class TestCosts:
    @given(groups=small, inner=small, outer=small, kernel=st.tuples(small, small), bias=st.booleans())
    def test_parameters_are_those_of_a_real_convolution(
        self, groups: int, inner: int, outer: int, kernel: tuple[int, int], bias: bool
    ):
        layer = nn.Conv2d(groups * inner, groups * outer, kernel, groups=groups, bias=bias, device="meta")
        mine = geometry.conv((groups * inner, 9, 9), groups * outer, kernel, groups=groups, bias=bias)
        assert mine.parameters == sum(p.numel() for p in layer.parameters())
        assert mine.weights == layer.weight.numel()

    @given(size=st.integers(2, 8), kernel=st.integers(1, 3), stride=small, padding=pair, dilation=small)
    def test_connections_are_the_nonzero_entries_of_the_matrix(
        self, size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
    ):
        """Dense, local and shared layers differ in these and in their weights."""
        assume(size + sum(padding) >= dilation * (kernel - 1) + 1)
        x = torch.eye(2 * size * 3).reshape(-1, 2, size, 3)
        y = F.conv2d(
            F.pad(x, (0, 0, *padding)), torch.ones(4, 1, kernel, 1), None, (stride, 1), 0, (dilation, 1), 2
        )
        settings = ((kernel, 1), (stride, 1), (padding, 0), (dilation, 1), 2)
        shared = geometry.conv((2, size, 3), 4, *settings)
        local = geometry.local_conv((2, size, 3), 4, *settings)
        dense = geometry.linear((2, size, 3), prod(shared.output))
        assert shared.connections == local.connections == (y != 0).sum() <= dense.connections
        assert shared.weights == 4 * kernel
        assert local.weights == shared.macs == 4 * kernel * prod(shared.output[1:])
        assert dense.weights == dense.connections == 6 * size * prod(shared.output)

    @given(size=st.integers(1, 6), kernel=st.integers(1, 4), stride=small, padding=st.integers(0, 2))
    def test_connections_of_a_transposed_convolution(self, size: int, kernel: int, stride: int, padding: int):
        assume((size - 1) * stride + kernel - 2 * padding > 0)
        x = torch.eye(size).reshape(size, 1, size)
        y = F.conv_transpose1d(x, torch.ones(1, 1, kernel), None, stride, padding)
        layer = geometry.conv_transpose((1, size), 1, kernel, stride, padding)
        assert layer.connections == y.sum()
        assert layer.macs == kernel * size

    @pytest.mark.parametrize("bins", [1, 2, 3, 5, 7, 9])
    def test_connections_of_adaptive_pooling(self, bins: int):
        y = F.adaptive_avg_pool1d(torch.eye(7).reshape(7, 1, 7), bins)
        assert geometry.adaptive_pool((1, 7), bins).connections == (y != 0).sum()

    def test_compositions(self):
        separable = geometry.separable_conv((32, 16, 16), 64, 3, padding=1)
        assert separable.weights == 9 * 32 + 32 * 64
        assert (separable.macs, separable.biases) == (256 * separable.weights, 64)
        spatial = geometry.spatial_separable_conv((1, 9, 9), 1, 3)
        assert (spatial.weights, spatial.macs, spatial.output) == (6, 3 * 7 * 9 + 3 * 7 * 7, (1, 7, 7))
        flat = geometry.flattened_conv((3, 9, 9), 8, 3)
        assert (flat.weights, flat.biases) == (8 * (3 + 3 + 3), 3 * 8)
        assert flat.macs == 24 * 81 + 24 * 7 * 9 + 24 * 7 * 7
        fused = geometry.conv_pool((1, 28, 28), 6, 5)
        assert (fused.output, fused.weights, fused.macs) == ((6, 12, 12), 150, 150 * 24 * 24)
        side = geometry.parallel(
            (8, 9, 9), lambda x: geometry.conv(x, 4, 3, padding=1), lambda x: geometry.conv(x, 2, 1)
        )
        assert (side.output, side.weights, side.macs) == ((6, 9, 9), 304, 304 * 81)

    def test_pools_have_no_weights(self):
        pyramid = geometry.pyramid_pool((256, 13, 11), (4, 2, 1))
        assert pyramid.output == (256 * 21,)
        spectral = geometry.spectral_pool((2, 8, 8), (4, 8))
        assert (spectral.output, spectral.connections) == ((2, 4, 8), 2 * 8 * 4 * 8)
        for layer in (pyramid, spectral, geometry.pool((3, 8, 8), 2), geometry.global_pool((3, 8, 8))):
            assert (layer.parameters, layer.macs) == (0, 0)

    def test_memory(self):
        layer = geometry.conv((3, 32, 32), 6, 5)
        assert layer.memory() == 6 * 28 * 28 * 4
        assert layer.memory("bfloat16", batch=7) == 6 * 28 * 28 * 2 * 7

    def test_huge_sizes_are_exact(self):
        assert geometry.linear((2**31, 2**31), 3).macs == 3 * 2**62
        assert output_size(2**63 - 1, 3, 2) == 2**62 - 1


class TestTransposedBackwards:
    @pytest.mark.parametrize(("target", "stride"), [(4, 1), (5, 2)])
    def test_the_lectures_sizes(self, target: int, stride: int):
        first, *others = geometry.transposed_settings((2, 2), (target, target), kernel=3)
        assert first == (3, stride, 0, 0, 1)
        assert all(setting.kernel == 3 for setting in others)

    @given(
        size=st.tuples(small, small), target=st.tuples(st.integers(1, 12), st.integers(1, 12)), dilation=small
    )
    def test_all_settings_and_no_others(self, size: tuple[int, int], target: tuple[int, int], dilation: int):
        found = geometry.transposed_settings(
            size, target, dilation=dilation, largest_kernel=4, largest_stride=3
        )
        reached = []
        for kernel, stride in product(range(1, 5), range(1, 4)):
            for padding, extra in product(range(dilation * (kernel - 1) + 1), range(max(stride, dilation))):
                sizes = [
                    geometry.transposed_output_size(n, kernel, stride, padding, extra, dilation) for n in size
                ]
                if sizes == list(target):
                    reached.append((kernel, stride, padding, extra, dilation))
        assert sorted(found) == sorted(reached)
        for kernel, stride, padding, extra, _ in found[:3]:
            layer = nn.ConvTranspose2d(1, 1, kernel, stride, padding, extra, dilation=dilation)
            assert real(layer, 1, *size) == (1, *target)

    @given(size=st.integers(1, 12), kernel=small, stride=small, padding=st.integers(0, 2), dilation=small)
    def test_overlap(self, size: int, kernel: int, stride: int, padding: int, dilation: int):
        assume((size - 1) * stride + dilation * (kernel - 1) + 1 > 2 * padding)
        ones = torch.ones(1, 1, size), torch.ones(1, 1, kernel)
        taps = F.conv_transpose1d(*ones, None, stride, padding, 0, 1, dilation)[0, 0].int().tolist()
        assert geometry.overlaps(size, kernel, stride, padding, dilation=dilation) == tuple(taps)
        inner = geometry.overlap(kernel, stride, padding, dilation)
        reach = dilation * (kernel - 1)
        assert all(taps[o] == inner[o % stride] for o in range(reach, len(taps) - reach))
        if dilation == 1:
            assert (len(set(inner)) == 1) == (kernel % stride == 0)

    def test_checkerboard(self):
        assert geometry.overlap(3, 2) == (2, 1)
        assert geometry.overlaps(6, 3, 2)[1:-2] == (1, 2, 1, 2, 1, 2, 1, 2, 1, 2)


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda: output_size(3, 5), "padding=1 or a kernel of 3 would fit"),
            (lambda: output_size(3, 2, dilation=9), "padding=4 or a kernel of 1 would fit"),
            (lambda: geometry.conv((3, 8, 8), 6, 9), r"⌊\(8 \+ 0 \+ 0 − 1·\(9 − 1\) − 1\) / 1⌋ \+ 1"),
            (lambda: geometry.conv((4, 8, 8), 6, 3, groups=4), "wanted one of 1, 2"),
            (lambda: geometry.conv((4, 8, 8), 6, 3, stride=0), "stride came as 0"),
            (lambda: geometry.conv((4, 8, 8), 6, -3), "kernel came as -3"),
            (lambda: geometry.conv((4, 8, 8), 6, (3, 3, 3)), "wanted one or 2"),
            (lambda: geometry.conv((4, 8, 8), 6, 2.5), "wanted whole numbers"),  # type: ignore[arg-type]
            (lambda: geometry.conv((4, 8, 8), 6, 3, padding="full"), '"same", "valid"'),
            (lambda: geometry.conv((4,), 6, 3), "wanted channels and sizes"),
            (lambda: geometry.conv_transpose((4, 8, 8), 6, 3, 2, 1, 2), "smaller than stride=2"),
            (lambda: geometry.conv_transpose((4, 1, 1), 6, 3, 1, 2), r"wanted less than \(2, 2\)"),
            (lambda: geometry.adaptive_pool((4, 8, 8), 0), "output_size came as"),
            (lambda: geometry.pyramid_pool((4, 8, 8), ()), "wanted at least one"),
            (lambda: geometry.pyramid_pool((4, 8, 8), (2, 0)), "levels came as"),
            (lambda: geometry.parallel((4, 8, 8)), "no branches"),
            (
                lambda: geometry.parallel(
                    (4, 8, 8), lambda x: geometry.conv(x, 1, 3), lambda x: geometry.conv(x, 1, 1)
                ),
                "wanted one size",
            ),
        ],
    )
    def test_they_say_what_came_and_what_was_wanted(self, call: Any, says: str):
        with pytest.raises(ArgumentError, match=says):
            call()


def test_every_public_name_is_there():
    for name in geometry.__all__:
        assert getattr(geometry, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        geometry.nothing  # noqa: B018


def test_numbers_need_no_torch():
    code = (
        "import sys; from striate import geometry; geometry.conv((3, 8, 8), 4, 3); geometry.PICTURE.window(3); "
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "numpy"} & set(done.stdout.split())
    light = subprocess.run(
        [sys.executable, "-c", "import sys, striate.geometry; print(*sorted(sys.modules))"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert not {"torch", "dataclasses", "inspect", "fractions"} & set(light.stdout.split())
