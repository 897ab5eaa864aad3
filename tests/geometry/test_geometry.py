"""Sizes and costs against real layers and hand counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate.geometry import trace
from striate.geometry.cost import conv_macs, conv_parameters, linear_macs
from striate.geometry.window import output_size

small = st.integers(1, 5)


@given(size=st.integers(1, 40), kernel=small, stride=small, padding=st.integers(0, 4), dilation=small)
def test_sizes_are_those_of_a_real_convolution(size, kernel, stride, padding, dilation):
    layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation, device="meta")
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        with pytest.raises(ValueError, match="does not fit"):
            output_size(size, kernel, stride, padding, dilation)
        return
    real = layer(torch.empty(1, 1, size, device="meta")).shape[-1]
    assert output_size(size, kernel, stride, padding, dilation) == real


@given(groups=small, inner=small, outer=small, kernel=st.tuples(small, small), bias=st.booleans())
def test_parameters_are_those_of_a_real_convolution(groups, inner, outer, kernel, bias):
    layer = nn.Conv2d(groups * inner, groups * outer, kernel, groups=groups, bias=bias, device="meta")
    expected = sum(p.numel() for p in layer.parameters())
    assert conv_parameters(groups * inner, groups * outer, kernel, groups, bias) == expected


def test_the_lectures_numbers():
    assert linear_macs(3 * 10**6, 20) == 60_000_000
    assert conv_parameters(3, 6, (5, 5)) == 456
    assert conv_macs(3, 6, (5, 5), (output_size(32, 5),) * 2) == 352_800
    assert conv_parameters(100, 100, (3, 3), 10, bias=False) * 10 == conv_parameters(
        100, 100, (3, 3), bias=False
    )


def test_a_model_is_counted_without_moving_it():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.Flatten(1, -2),
        nn.Linear(8, 5),
    )
    by_hand = 4 * 1 * 9 * 4 * 4 + 4 * 3 * 4 * 4 * 4 + 8 * 5 * 24
    assert trace(model, (2, 6, 6)).macs == by_hand
    assert all(p.device.type == "cpu" for p in model.parameters()) and model.training
