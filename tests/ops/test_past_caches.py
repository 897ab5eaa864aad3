"""Results so large that kernels write them past the caches: bit for bit those of single pictures, which stay in them."""

import pytest
import torch

from striate import functional as S
from striate.ops._library import NATIVE, instruction_set

POOLS = {
    "max, side by side": lambda x: S.max_pool2d(x, 2),
    "max, overlapping": lambda x: S.max_pool2d(x, 3, 2, 1),
    "average, every sample": lambda x: S.avg_pool2d(x, 3, 1, 1),
    "average, side by side": lambda x: S.avg_pool2d(x, 2),
    "p = 2, every sample": lambda x: S.lp_pool2d(x, 2, 2, 1),
    "p = 2, side by side": lambda x: S.lp_pool2d(x, 2, 2),
    "p = 3, overlapping": lambda x: S.lp_pool2d(x, 3, 3, 2),
    "mixed, side by side": lambda x: S.mixed_pool2d(x, 2),
    "mixed, every sample": lambda x: S.mixed_pool2d(x, 2, 1),
}
pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def pooled(pool, x, gradient=None):
    x = x.detach().requires_grad_()
    y = pool(x)
    gradient = (
        torch.randn(y.shape, generator=torch.Generator().manual_seed(1)) if gradient is None else gradient
    )
    return y.detach(), torch.autograd.grad(y, x, gradient.to(y.dtype))[0], gradient


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_large_batches_give_what_single_pictures_give(pool, form, dtype, name):
    torch.manual_seed(0)
    images = 3 if dtype is torch.float32 else 6
    x = torch.randn(images, 16, 297, 301).to(dtype).contiguous(memory_format=form)
    assert x.nbytes > 16 << 20 > x[:1].nbytes
    with instruction_set(name):
        y, of_x, gradient = pooled(pool, x)
        for i in range(images):
            one, of_one, _ = pooled(pool, x[i : i + 1], gradient[i : i + 1])
            assert torch.equal(y[i : i + 1], one)
            assert torch.equal(of_x[i : i + 1], of_one)
