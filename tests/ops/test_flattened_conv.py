"""What is special to flattened convolution: the steps of the paper, their order, biases and weights."""

import pytest
import torch
from torch import nn

from striate import functional, geometry
from striate.nn import FlattenedConv2d, FlattenedConv3d


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_without_biases_it_is_the_convolution_with_the_outer_products():
    """Each kernel is α(c) · β(i) · γ(j), equation 2 of the paper."""
    input = random(2, 3, 8, 9)
    across, down, along = random(4, 3, 1, 1), random(4, 1, 3, 1), random(4, 1, 1, 5)
    options = {"padding": ((1, 2), (0, 3)), "stride": (1, 2), "dilation": (2, 1)}
    torch.testing.assert_close(
        functional.flattened_conv2d(input, across, down, along, **options),
        functional.conv2d(input, across * down * along, **options),
    )


def test_volumes_without_biases():
    input = random(1, 2, 4, 5, 6)
    kernels = random(3, 2, 1, 1, 1), random(3, 1, 1, 3, 1), random(3, 1, 1, 1, 2), random(3, 1, 4, 1, 1)
    torch.testing.assert_close(
        functional.flattened_conv3d(input, *kernels, padding="same"),
        functional.conv3d(input, kernels[0] * kernels[1] * kernels[2] * kernels[3], padding="same"),
    )


def test_the_steps_of_the_paper_each_with_its_bias():
    """Lateral, vertical, horizontal: figure 2. What pads a step is zero, not the bias of the one before."""
    layer = FlattenedConv2d(3, 4, (3, 5), padding=(1, 2), dtype=torch.float64)
    lateral = nn.Conv2d(3, 4, 1, dtype=torch.float64)
    vertical = nn.Conv2d(4, 4, (3, 1), padding=(1, 0), groups=4, dtype=torch.float64)
    horizontal = nn.Conv2d(4, 4, (1, 5), padding=(0, 2), groups=4, dtype=torch.float64)
    for step, own in (("channel", lateral), ("vertical", vertical), ("horizontal", horizontal)):
        own.load_state_dict({kind: getattr(layer, f"{step}_{kind}").detach() for kind in ("weight", "bias")})
    input = random(2, 3, 7, 8)
    torch.testing.assert_close(layer(input), horizontal(vertical(lateral(input))))


def test_a_bias_between_counts_at_the_border_of_the_padding():
    nothing, ones = torch.zeros(1, 1, 3, 3), [torch.ones(1, 1, *k) for k in ((1, 1), (3, 1), (1, 3))]
    got = functional.flattened_conv2d(nothing, *ones, channel_bias=torch.ones(1), padding=1)
    assert got.tolist() == [[[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]]


def test_the_last_step_goes_in_depth():
    """Its bias, the last, is added to every output; that of a step before is summed by those after it."""
    zeros = torch.zeros(1, 2, 2, 2)
    ones = [torch.ones(1, 1, *kernel) for kernel in ((1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1))]
    for place, wanted in ((0, 8), (1, 4), (2, 2), (3, 1)):
        biases = [torch.ones(1) if step == place else None for step in range(4)]
        assert functional.flattened_conv3d(zeros, *ones, *biases).item() == wanted


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_has_the_parameters_that_geometry_tells(bias: bool):
    layer = FlattenedConv2d(64, 96, (3, 5), bias=bias)
    rule = geometry.flattened_conv((64, 16, 16), 96, (3, 5), bias=bias)
    assert sum(p.numel() for p in layer.parameters()) == rule.parameters
    assert rule.weights == 96 * (64 + 3 + 5)


def test_what_a_layer_keeps():
    kept = {name: tuple(value.shape) for name, value in FlattenedConv3d(2, 4, (3, 5, 7)).state_dict().items()}
    assert kept == {
        "channel_weight": (4, 2, 1, 1, 1),
        "channel_bias": (4,),
        "vertical_weight": (4, 1, 1, 5, 1),
        "vertical_bias": (4,),
        "horizontal_weight": (4, 1, 1, 1, 7),
        "horizontal_bias": (4,),
        "depth_weight": (4, 1, 3, 1, 1),
        "depth_bias": (4,),
    }
    assert not [name for name in FlattenedConv2d(2, 4, 3, bias=False).state_dict() if "bias" in name]


def test_a_layer_tells_its_options():
    layer = FlattenedConv2d(2, 4, 3, padding="same", bias=False)
    assert (
        repr(layer) == "FlattenedConv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding='same', bias=False)"
    )


def test_it_replaces_a_convolution():
    """With the same arguments it gives the same size."""
    for arguments in ((4, 6, 3), (4, 6, (3, 5), 2, (1, 2)), (4, 6, 4, 3, 2, 2)):
        input = torch.zeros(2, 4, 19, 20)
        assert FlattenedConv2d(*arguments)(input).shape == nn.Conv2d(*arguments)(input).shape
