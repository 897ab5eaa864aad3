"""What is special to pyramid pooling: exact bins at any size, one length, the order, open sizes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate.nn
from striate import functional as S
from striate.errors import ArgumentError
from striate.geometry.window import adaptive_windows


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_known_values_and_order():
    """Level after level, channel after channel, row after row."""
    picture = torch.arange(32.0).reshape(2, 4, 4)
    assert S.pyramid_pool2d(picture, (1, 2)).tolist() == [15, 31, 5, 7, 13, 15, 21, 23, 29, 31]
    assert S.pyramid_pool2d(picture, (2, 1)).tolist() == [5, 7, 13, 15, 21, 23, 29, 31, 15, 31]
    assert S.pyramid_pool2d(picture, (1,), "avg").tolist() == [7.5, 23.5]
    assert S.pyramid_pool2d(picture[:1], (1,), "lp", norm_type=1).tolist() == [120]


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_it_is_adaptive_pooling_flattened_and_concatenated(rank: int, kind: str):
    pool = getattr(F, f"adaptive_{kind}_pool{rank}d")
    for side in (1, 2, 3, 4, 5, 8, 12, 13):
        x = numbers(2, 3, *(side + extra for extra in range(rank)))
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        levels = (1, 2, 4, 3) if rank < 3 else (1, 2, 3)
        got = getattr(S, f"pyramid_pool{rank}d")(mine, levels, kind)
        wanted = torch.cat([pool(other, level).flatten(1) for level in levels], 1)
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        direction = numbers(*got.shape)
        slopes = [torch.autograd.grad(y, leaf, direction)[0] for y, leaf in ((got, mine), (wanted, other))]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, 7.5, torch.inf], ids=str)
def test_norms_of_every_bin(p: float):
    for size in ((7, 9), (8, 4), (12, 16), (2, 3), (1, 1)):
        x = numbers(2, 3, *size)
        got = S.pyramid_pool2d(x, (3, 1, 4, 2), "lp", norm_type=p)
        wanted = [
            torch.linalg.vector_norm(x[:, :, a:b, c:d].flatten(2), p, dim=-1)
            for level in (3, 1, 4, 2)
            for a, b in adaptive_windows(size[0], level)
            for c, d in adaptive_windows(size[1], level)
        ]
        places = [9, 1, 16, 4]
        levels = torch.stack(wanted, -1).split(places, -1)
        torch.testing.assert_close(got, torch.cat([level.flatten(1) for level in levels], 1))


@pytest.mark.parametrize("size", range(1, 40))
def test_one_length_for_every_size(size: int):
    """Also where other implementations give 25 bins in place of 16, or lose the border."""
    x = torch.zeros(1, 2, size, 41 - size)
    x[..., -1, -1] = 1
    y = S.pyramid_pool2d(x)
    assert y.shape == (1, 2 * 21)
    assert y[0, [0, 1, 5, 9, 25, 41]].tolist() == [1] * 6, "the last bin of every level sees the corner"


def test_a_classifier_for_pictures_of_any_size_learns():
    torch.manual_seed(0)
    pool = striate.nn.PyramidPool2d((1, 2), "avg")
    assert pool.bins == 5
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), pool, nn.Linear(4 * pool.bins, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(0)
    for step in range(60):
        height, width = (9 + step % 5, 11 - step % 3)
        x = torch.rand(16, 1, height, width, generator=generator)
        label = torch.arange(16) % 2
        x[label == 1, :, : height // 2] += 0.5  # bright above
        loss = F.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


class Module(nn.Module):
    def __init__(self, kind: str, norm_type: float | None) -> None:
        super().__init__()
        self.pool = striate.nn.PyramidPool2d((1, 2, 4), kind, norm_type=norm_type)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


@pytest.mark.parametrize(
    ("kind", "norm_type"), [("max", None), ("avg", None), ("lp", 2.5), ("lp", torch.inf)]
)
def test_exports_with_open_sizes(kind: str, norm_type: float | None):
    module, auto = Module(kind, norm_type), torch.export.Dim.DYNAMIC
    program = torch.export.export(
        module, (numbers(3, 2, 9, 10),), dynamic_shapes={"x": {0: auto, 2: auto, 3: auto}}
    )
    for shape in ((2, 2, 8, 16), (4, 2, 5, 7), (2, 2, 31, 12)):
        x = numbers(*shape)
        torch.testing.assert_close(program.module()(x), module(x), rtol=1e-10, atol=1e-10)


def test_one_of_equal_numbers_gets_the_gradient():
    x = torch.zeros(1, 1, 5, 7, requires_grad=True)
    S.pyramid_pool2d(x, (1,)).sum().backward()
    assert x.grad.sum() == 1 and x.grad.count_nonzero() == 1


def test_layers_tell_what_is_wrong():
    for says, options in (
        ("levels came as", {"levels": 4}),
        ("norm_type is missing", {"kind": "lp"}),
        ('with kind="lp" only', {"norm_type": 2}),
        ("kind came as None", {"kind": None}),
    ):
        with pytest.raises(ArgumentError, match=f"PyramidPool3d: .*{says}"):
            striate.nn.PyramidPool3d(**options)


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 16, 13, 12), (1, 16, 40, 33), (1, 2, 8, 8, 9)], ids=str)
def test_of_equal_numbers_the_first_of_the_picture_has_the_gradient(shape):
    picture = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    rank = len(shape) - 2
    pooled = getattr(S, f"pyramid_pool{rank}d")(picture, (1, 2, 4))
    adaptive = getattr(F, f"adaptive_max_pool{rank}d")
    wanted = torch.cat([adaptive(picture, bins).flatten(1 - len(shape)) for bins in (1, 2, 4)], -1)
    weights = torch.arange(pooled.numel(), dtype=torch.float64).view_as(pooled)
    found, exact = (
        torch.autograd.grad((y * weights).sum(), picture)[0] for y in (pooled, wanted.view_as(pooled))
    )
    assert torch.equal(found, exact)
