"""What is special to mixed pooling: its two ends, gates, draws, and a share that stays from 0 to 1."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate.nn
from striate import functional as S
from striate.errors import ArgumentError

inf = torch.inf


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_known_values():
    picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]])
    assert S.mixed_pool2d(picture, 2).tolist() == [[[6.25, 3.25], [5.75, 6.75]]]
    assert S.mixed_pool2d(picture, 2, alpha=0.25).tolist() == [[[5.375, 2.875], [5.125, 5.625]]]


WINDOWS = [
    {},
    {"stride": 1},
    {"padding": 1, "stride": 2},
    {"padding": 1, "stride": 2, "ceil_mode": True},
    {"padding": ((1, 0), (2, 3))},
    {"padding": "same", "stride": 2},
    {"dilation": 2, "padding": 1, "stride": 1},
]


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_the_ends_are_max_and_average_pooling(options):
    x = numbers(2, 3, 8, 9)
    average_options = {"count_include_pad": False, **options}
    for alpha in (0, 0.0, torch.zeros((), dtype=torch.float64)):
        got = S.mixed_pool2d(x, 3, alpha=alpha, **options)
        torch.testing.assert_close(got, S.avg_pool2d(x, 3, **average_options), rtol=0, atol=0)
    for alpha in (1, 1.0, torch.ones(3, dtype=torch.float64)):
        got = S.mixed_pool2d(x, 3, alpha=alpha, **options)
        torch.testing.assert_close(got, S.max_pool2d(x, 3, **options), rtol=0, atol=0)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_the_result_lies_between_the_average_and_the_largest_of_the_same_numbers(options):
    """Also where all numbers are negative and padding is 0."""
    x = -numbers(2, 3, 8, 9).abs() - 1
    y = S.mixed_pool2d(x, 3, alpha=0.3, **options)
    assert (y <= S.max_pool2d(x, 3, **options)).all()
    assert (y >= S.avg_pool2d(x, 3, count_include_pad=False, **options)).all()


def test_a_share_for_each_channel():
    x, alpha = numbers(2, 3, 6, 6), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    got = S.mixed_pool2d(x, 2, alpha=alpha)
    for channel, share in enumerate(alpha.tolist()):
        torch.testing.assert_close(got[:, channel], S.mixed_pool2d(x[:, channel], 2, alpha=share))


def test_the_gradient_of_the_share_is_what_the_branches_differ_by():
    x = numbers(2, 3, 6, 6)
    alpha = torch.full((3,), 0.4, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(S.mixed_pool2d(x, 2, alpha=alpha).sum(), alpha)
    torch.testing.assert_close(slope, (F.max_pool2d(x, 2) - F.avg_pool2d(x, 2)).sum((0, 2, 3)))


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_a_gate_is_the_sigmoid_of_a_weighted_sum(options):
    """One for all channels or one for each; padding counts as 0 in the sum."""
    x, gates = numbers(2, 3, 8, 9), numbers(3, 3, 3)
    largest = S.max_pool2d(x, 3, **options)
    average = S.avg_pool2d(x, 3, count_include_pad=False, **options)
    for gate in (gates, gates[0]):
        weight = gate.expand(3, 3, 3).unsqueeze(1)
        settings = {"stride": 3, **options}
        picture = F.pad(x, (0, 3, 0, 3)) if settings.pop("ceil_mode", False) else x
        score = S.conv2d(picture, weight, groups=3, **settings)
        share = torch.sigmoid(score[..., : largest.shape[-2], : largest.shape[-1]])
        got = S.mixed_pool2d(x, 3, gate=gate, **options)
        torch.testing.assert_close(got, share * largest + (1 - share) * average, rtol=1e-10, atol=1e-10)


def test_a_gate_answers_to_what_it_sees():
    gate = torch.tensor([[8.0, 8.0], [8.0, 8.0]])
    bright, dark = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]), torch.tensor([[[-3.0, -1.0], [-1.0, -1.0]]])
    assert S.mixed_pool2d(bright, 2, gate=gate).item() == pytest.approx(3, abs=1e-6)
    assert S.mixed_pool2d(dark, 2, gate=gate).item() == pytest.approx(-1.5, abs=1e-6)


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_a_gate_far_from_zero_has_no_gradient_that_is_not_a_number(scale: float):
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]], requires_grad=True)
    for sign in (1, -1):
        gate = torch.full((2, 2), sign * scale, requires_grad=True)
        slopes = torch.autograd.grad(S.mixed_pool2d(x, 2, gate=gate).sum(), [x, gate])
        assert all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize("make", [float, torch.tensor], ids=["number", "tensor"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_window_of_nothing_gives_zero(share: float, make):
    x = torch.ones(1, 1, 2, requires_grad=True)
    alpha = make(share)
    if isinstance(alpha, Tensor):
        alpha.requires_grad_()
    y = S.mixed_pool1d(x, 2, padding=((2, 3),), alpha=alpha)
    assert y.tolist() == [[[0, 1, 0]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[0.5 + share / 2, 0.5 - share / 2]]]
    if isinstance(alpha, Tensor):
        assert alpha.grad == 0


@pytest.mark.parametrize("alpha", [-1e-9, 1.0000001, inf, float("nan"), "half", True, [0.5]])
def test_a_share_outside_0_to_1_is_refused(alpha):
    for make in (
        lambda: S.mixed_pool2d(torch.ones(1, 4, 4), 2, alpha=alpha),
        lambda: striate.nn.MixedPool2d(2, alpha=alpha),
    ):
        with pytest.raises(ArgumentError, match="alpha came as"):
            make()


@pytest.mark.parametrize(
    ("says", "options"),
    [
        ("mode came as 'median'", {"mode": "median"}),
        ("reaches neither", {"mode": "learned", "alpha": 1.0}),
        ("every window has its own", {"mode": "gated", "alpha": 0.25}),
        ("channels came as 3", {"channels": 3}),
        ("channels came as 0", {"mode": "learned", "channels": 0}),
        ("kernel_size came as 0", {"kernel_size": 0}),
    ],
)
def test_layers_that_cannot_be_are_refused(says: str, options):
    with pytest.raises(ArgumentError, match=f"MixedPool2d: .*{says}"):
        striate.nn.MixedPool2d(**{"kernel_size": 2, **options})


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_of_every_mode(rank: int):
    layer_type, function = getattr(striate.nn, f"MixedPool{rank}d"), getattr(S, f"mixed_pool{rank}d")
    x = numbers(2, 3, *((6,) * rank), dtype=torch.float32)
    assert torch.equal(layer_type(2, alpha=0.3)(x), function(x, 2, alpha=0.3))
    learned = layer_type(2, mode="learned", alpha=0.3, channels=3)
    torch.testing.assert_close(learned(x), function(x, 2, alpha=0.3))
    assert {name: tuple(p.shape) for name, p in learned.named_parameters()} == {"alpha_logit": (3,)}
    gated = layer_type(2, mode="gated")
    torch.testing.assert_close(gated(x), function(x, 2))
    assert {name: tuple(p.shape) for name, p in gated.named_parameters()} == {"gate": (2,) * rank}
    with torch.no_grad():
        gated.gate.copy_(numbers(*gated.gate.shape))
    assert torch.equal(gated(x), function(x, 2, gate=gated.gate))


def test_a_learned_share_stays_from_0_to_1():
    x = numbers(4, 3, 6, 6, dtype=torch.float32)
    layer = striate.nn.MixedPool2d(2, mode="learned")
    optimizer = torch.optim.SGD(layer.parameters(), lr=100.0)
    for _ in range(20):  # towards a target that lies beyond max pooling
        optimizer.zero_grad()
        F.mse_loss(layer(x), F.max_pool2d(x, 2) + 5).backward()
        optimizer.step()
    torch.testing.assert_close(layer(x), F.max_pool2d(x, 2), rtol=0, atol=1e-2)
    assert (layer(x) <= F.max_pool2d(x, 2) + 1e-6).all()


def test_random_draws_one_branch_for_each_channel_of_each_call():
    x = numbers(4, 64, 6, 6, dtype=torch.float32)
    layer = striate.nn.MixedPool2d(2, mode="random", alpha=0.25).train()
    largest, average = F.max_pool2d(x, 2), F.avg_pool2d(x, 2)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    shares = []
    for y in (first, second):
        is_largest = (y == largest).flatten(2).all(-1)
        is_average = (y - average).abs().flatten(2).amax(-1) < 1e-6
        assert (is_largest != is_average).all()
        assert (is_largest == is_largest[:1]).all(), "the same for every picture of the batch"
        shares.append(is_largest[0])
    assert not torch.equal(*shares)
    assert 0.05 < torch.stack(shares).float().mean() < 0.45
    assert torch.equal(layer.eval()(x), S.mixed_pool2d(x, 2, alpha=0.25))


def test_random_has_the_mean_that_evaluation_takes():
    x = numbers(1, 4000, 2, 2, dtype=torch.float32)[:, :1].expand(1, 4000, 2, 2)
    layer = striate.nn.MixedPool2d(2, mode="random")
    torch.manual_seed(0)
    drawn = layer.train()(x).mean()
    torch.testing.assert_close(drawn, layer.eval()(x).mean(), rtol=0.05, atol=0.05)


def test_random_compiles_and_takes_pictures_without_a_batch():
    layer = striate.nn.MixedPool1d(2, mode="random").train()
    x = numbers(5, 8, dtype=torch.float32)
    assert layer(x).shape == (5, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    y = compiled(x)
    near = [
        (y - branch[0]).abs().amax(-1) < 1e-6
        for branch in (F.max_pool1d(x[None], 2), F.avg_pool1d(x[None], 2))
    ]
    assert (near[0] | near[1]).all()


def test_half_precision_gate_under_autocast():
    layer = nn.Sequential(nn.Conv2d(3, 4, 3), striate.nn.MixedPool2d(2, mode="gated", channels=4))
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(numbers(2, 3, 9, 9, dtype=torch.float32))
    y.float().sum().backward()
    assert layer[1].gate.grad.dtype == torch.float32
