"""What is special to spectral pooling: frequencies, means, adjoints, odd and even, matrices that are kept."""

import itertools
import math

import pytest
import torch
from torch import Tensor

import striate.nn
from striate import functional as S
from striate.ops.spectral_pool import op


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def by_transform(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """The first formula of the page, by PyTorch's own functions."""
    dims = tuple(range(-len(wanted), 0))
    spectrum = torch.fft.fftshift(torch.fft.fftn(x, dim=dims), dim=dims)
    for dim, size in zip(dims, wanted, strict=True):
        spectrum = spectrum.narrow(dim, spectrum.shape[dim] // 2 - size // 2, size)
    y = torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=dims), dim=dims).real
    return y * (math.prod(wanted) / math.prod(x.shape[-len(wanted) :]))


SIZES = [((n,), (m,)) for n, m in itertools.product(range(1, 10), range(1, 10)) if m <= n] + [
    ((h, w), (m, k)) for h, w, m, k in itertools.product((5, 6, 8), (6, 7), (2, 3, 4, 5), (1, 4, 6))
]
SIZES += [((4, 6, 8), m) for m in itertools.product((2, 3, 4), (3, 4, 6), (4, 5, 6))]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_it_is_the_real_part_of_the_shifted_and_cropped_spectrum(rank: int):
    for size, wanted in SIZES:
        if len(size) == rank:
            x = numbers(2, 2, *size)
            got = getattr(S, f"spectral_pool{rank}d")(x, wanted)
            torch.testing.assert_close(got, by_transform(x, wanted), rtol=1e-11, atol=1e-11)


def test_without_the_correction_two_even_dimensions_would_be_wrong():
    x = numbers(1, 1, 8, 8)
    along_each = S.spectral_pool1d(S.spectral_pool1d(x[0], 4).mT, 4).mT
    assert (S.spectral_pool2d(x, 4)[0] - along_each).abs().max() > 1e-3
    odd = x[..., :7]
    along_each = S.spectral_pool1d(S.spectral_pool1d(odd[0], 3).mT, 4).mT
    torch.testing.assert_close(S.spectral_pool2d(odd, (4, 3))[0], along_each)


@pytest.mark.parametrize(
    ("n", "m"), [(9, 5), (9, 4), (8, 4), (8, 5), (8, 3), (5, 9), (6, 9), (6, 12), (1, 4)]
)
def test_the_mean_stays_and_the_same_size_changes_nothing(n: int, m: int):
    x = numbers(2, 3, n, n)
    torch.testing.assert_close(S.spectral_pool2d(x, m).mean((2, 3)), x.mean((2, 3)), rtol=1e-12, atol=1e-12)
    assert torch.equal(S.spectral_pool2d(x, n), x)
    torch.testing.assert_close(S.spectral_pool2d(x, (n, m)).mean(2), S.spectral_pool1d(x.mean(2), m))


@pytest.mark.parametrize(("n", "m"), [(9, 4), (8, 4), (8, 5), (6, 9), (5, 8)])
def test_it_is_linear_and_its_gradient_is_its_transpose(n: int, m: int):
    x, z = numbers(1, 1, n, n), numbers(1, 1, n, n).flip(-1)
    both = S.spectral_pool2d(2 * x - 3 * z, m)
    torch.testing.assert_close(both, 2 * S.spectral_pool2d(x, m) - 3 * S.spectral_pool2d(z, m))
    direction = numbers(1, 1, m, m).requires_grad_()
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(S.spectral_pool2d(leaf, m), leaf, direction, create_graph=True)
    torch.testing.assert_close((slope * z).sum(), (direction * S.spectral_pool2d(z, m)).sum())
    (back,) = torch.autograd.grad(slope, direction, z)  # the transpose of the transpose
    torch.testing.assert_close(back, S.spectral_pool2d(z, m))


@pytest.mark.parametrize(("n", "m"), [(16, 8), (16, 7), (15, 8), (15, 7)])
def test_low_frequencies_pass_and_high_ones_do_not(n: int, m: int):
    time, short = torch.arange(n, dtype=torch.float64), torch.arange(m, dtype=torch.float64)
    for frequency in range(n // 2 + 1):
        for phase in (0.0, 0.7, torch.pi / 2):
            wave = torch.cos(2 * torch.pi * frequency * time / n + phase)
            got = S.spectral_pool1d(wave.reshape(1, n), m).flatten()
            if 2 * frequency < m:
                wanted = torch.cos(2 * torch.pi * frequency * short / m + phase)
            elif 2 * frequency == m:  # at the edge: half of it, its cosine only
                wanted = torch.cos(torch.pi * short) * math.cos(phase) * (0.5 if frequency < n / 2 else 1)
            else:
                wanted = torch.zeros(m, dtype=torch.float64)
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "factor"), [(5, 2), (6, 2), (4, 3), (1, 4)])
def test_growing_by_a_whole_factor_meets_every_sample_again(n: int, factor: int):
    x = numbers(2, 3, n, n)
    large = S.spectral_pool2d(x, n * factor)
    torch.testing.assert_close(large[..., ::factor, ::factor], x, rtol=1e-11, atol=1e-11)
    if n % 2:
        torch.testing.assert_close(S.spectral_pool2d(large, n), x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [(6, 8), (513, 4), (3, 600)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_products_and_transform_agree(size, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    x = numbers(2, 2, *size, dtype=dtype)
    results = []
    for longest in (0, 2000):
        monkeypatch.setattr(op, "LONGEST_PRODUCT", longest)
        results.append(S.spectral_pool2d(x, (4, 3)))
    near = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(*results, rtol=near, atol=near)


def test_a_long_signal_needs_no_large_matrix():
    """A matrix of 300 000 × 200 000 would take 240 GB."""
    x = numbers(1, 1, 300_000, dtype=torch.float32)
    y = S.spectral_pool1d(x, 200_000)
    torch.testing.assert_close(y.mean(), x.mean(), rtol=1e-3, atol=1e-5)


def test_matrices_are_kept_and_only_so_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(op, "_KEPT", {})
    x = numbers(1, 1, 12)
    first = S.spectral_pool1d(x, 5)
    kept = dict(op._KEPT)
    assert len(kept) == 1
    assert torch.equal(S.spectral_pool1d(x, 5), first)
    assert all(op._KEPT[key] is map for key, map in kept.items())
    for size in range(13, 13 + 2 * op.MOST_KEPT):
        S.spectral_pool1d(numbers(1, 1, size), 5)
    assert len(op._KEPT) == op.MOST_KEPT


def test_what_is_kept_was_made_outside_of_every_mode(monkeypatch: pytest.MonkeyPatch):
    """Matrices first needed in inference mode, inside torch.func or on the meta device serve training later."""
    x = numbers(1, 1, 12)
    for inside in (
        torch.inference_mode()(lambda: S.spectral_pool1d(x, 6)),
        lambda: torch.func.grad(lambda x: S.spectral_pool1d(x, 6).square().sum())(x),
        lambda: torch.func.vmap(lambda x: S.spectral_pool1d(x, 6))(x[None]),
        lambda: S.spectral_pool1d(x.to("meta"), 6),
    ):
        monkeypatch.setattr(op, "_KEPT", {})
        inside()
        leaf = x.clone().requires_grad_()
        S.spectral_pool1d(leaf, 6).square().sum().backward()
        torch.testing.assert_close(
            leaf.grad, torch.func.grad(lambda x: S.spectral_pool1d(x, 6).square().sum())(x)
        )


def test_exports_with_open_sizes():
    layer, auto = striate.nn.SpectralPool2d((4, 6)), torch.export.Dim.DYNAMIC
    program = torch.export.export(
        layer, (numbers(3, 2, 16, 17),), dynamic_shapes={"input": {0: auto, 2: auto, 3: auto}}
    )
    for shape in ((2, 2, 12, 11), (5, 2, 40, 14)):
        x = numbers(*shape)
        torch.testing.assert_close(program.module()(x), layer(x), rtol=1e-11, atol=1e-11)
