"""The depthwise kernels against PyTorch in float64, on every instruction set that this machine has."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import conv1d, conv2d, conv3d
from striate.ops._library import NATIVE, instruction_set
from striate.ops._serving import kernels_used
from striate.ops.conv.depthwise import depthwise_obstacle

OURS = {1: conv1d, 2: conv2d, 3: conv3d}
THEIRS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 3e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def random_case(pick, rank):
    """Shapes and options of a valid call, strides beyond the input among them."""
    kernel = [pick.choice([1, 2, 3, 5, 7, 9]) for _ in range(rank)]
    stride = [pick.choice([1, 1, 2, 3, 30]) for _ in range(rank)]
    dilation = [pick.choice([1, 1, 2, 3]) for _ in range(rank)]
    ends = [(pick.choice([0, 1, 2, 5]), pick.choice([0, 1, 4])) for _ in range(rank)]
    least = [d * (k - 1) + 1 - sum(pair) for k, d, pair in zip(kernel, dilation, ends, strict=True)]
    sizes = [max(pick.randint(1, 20 if rank < 3 else 9), number) for number in least]
    batch, channels = pick.choice([1, 2, 3]), pick.choice([2, 3, 8, 16, 17, 40, 70])
    return (batch, channels, *sizes), (channels, 1, *kernel), stride, dilation, ends


def small_kernel_case(pick, rank):
    """Calls whose rows are used where they lie, and some that are barely none of these."""
    size = pick.choice([3, 3, 4, 7] if rank == 2 else [3, 3, 4])
    stride = 1 if rank == 3 or size == 7 else pick.choice([1, 2, 2])
    kernel = [size] * rank
    if pick.random() < 0.3:
        kernel[-2:] = pick.choice([[7, 1], [1, 7]])[-rank:]
        stride = 1
    ends = [(pick.randint(0, k - 1), pick.randint(0, k + 1)) for k in kernel]
    sizes = [pick.randint(7, 14 if rank < 3 else 8) for _ in range(rank - 1)] + [pick.randint(8, 75)]
    channels = pick.choice([2, 3, 17])
    return (2, channels, *sizes), (channels, 1, *kernel), [stride] * rank, [1] * rank, ends


def apart(found, wanted):
    return ((found.double() - wanted).abs() / (1 + wanted.abs())).max().item()


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("case", [random_case, small_kernel_case])
@pytest.mark.parametrize("seed", range(40))
def test_values_and_gradients_are_those_of_float64(name, case, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2, 3])
    shape, weight_shape, stride, dilation, ends = case(pick, rank)
    dtype = pick.choice(list(TOLERANCES))
    form = pick.choice([torch.contiguous_format, LAST.get(rank, torch.contiguous_format)])
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn(weight_shape, dtype=dtype, requires_grad=True)
    bias = torch.randn(shape[1], dtype=dtype, requires_grad=True) if pick.random() < 0.7 else None
    tensors = [tensor for tensor in (x, weight, bias) if tensor is not None]
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]

    pads = [end for pair in reversed(ends) for end in pair]
    wanted = THEIRS[rank](
        F.pad(exact[0], pads), *exact[1:], stride=stride, dilation=dilation, groups=shape[1]
    )
    with instruction_set(name):
        found = OURS[rank](*tensors, stride=stride, padding=tuple(ends), dilation=dilation, groups=shape[1])
        gradient = torch.randn_like(found)
        if pick.random() < 0.3:
            gradient = gradient.contiguous(memory_format=torch.contiguous_format)
        found.backward(gradient)
    wanted.backward(gradient.double())
    assert apart(found, wanted) < TOLERANCES[dtype]
    for tensor, other in zip(tensors, exact, strict=True):
        assert apart(tensor.grad, other.grad) < TOLERANCES[dtype]


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (4, 2), (7, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_lies_around_a_picture_is_not_read(name, kernel, stride, dtype):
    """The pictures lie between numbers that are not finite, and so does the gradient of the result."""

    def among_nans(shape):
        numbers = torch.full((torch.Size(shape).numel() + 400,), torch.nan, dtype=dtype)
        middle = numbers[200:-200].view(shape)
        middle.copy_(torch.randn(shape))
        return middle

    with instruction_set(name):
        for columns in (24, 31, 32, 33, 50):
            x = among_nans((2, 3, 9, columns)).requires_grad_()
            weight = torch.randn(3, 1, kernel, kernel, dtype=dtype, requires_grad=True)
            y = conv2d(x, weight, stride=stride, padding=kernel // 2, groups=3)
            gradient = among_nans(y.shape)
            found = y, *torch.autograd.grad(y, (x, weight), gradient)
            again = [tensor.detach().double().requires_grad_() for tensor in (x, weight)]
            exact = F.conv2d(*again, stride=stride, padding=kernel // 2, groups=3)
            wanted = exact, *torch.autograd.grad(exact, again, gradient.double())
            assert all(apart(a, b) < TOLERANCES[dtype] for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("stride", [1, 2])
def test_pictures_larger_than_a_cache(name, stride):
    def gradients(x, weight, gradient):
        tensors = [tensor.detach().requires_grad_() for tensor in (x, weight)]
        ours = OURS[2] if x.dtype == torch.float32 else THEIRS[2]
        y = ours(*tensors, stride=stride, padding=1, groups=2)
        return y, *torch.autograd.grad(y, tensors, gradient)

    x, weight = torch.randn(1, 2, 515, 521), torch.randn(2, 1, 3, 3)
    gradient = torch.randn_like(THEIRS[2](x, weight, stride=stride, padding=1, groups=2))
    with instruction_set(name):
        found = gradients(x, weight, gradient)
    exact = gradients(x.double(), weight.double(), gradient.double())
    sums = gradients(x.double().abs(), weight.double().abs(), gradient.double().abs())
    for one, wanted, of_sizes in zip(
        found, exact, sums, strict=True
    ):  # each is a sum: so large its summands are
        assert ((one - wanted).abs() <= 1e-6 * of_sizes).all()


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_gradients_one_at_a_time(wanted):
    x, weight, bias = torch.randn(2, 5, 9, 8), torch.randn(5, 1, 3, 3), torch.randn(5)
    tensors = [t.requires_grad_(one) for t, one in zip((x, weight, bias), wanted, strict=True)]
    conv2d(*tensors, padding=1, groups=5).square().sum().backward()
    found = [t.grad for t in tensors]
    again = [t.detach().double().requires_grad_(one) for t, one in zip(tensors, wanted, strict=True)]
    F.conv2d(*again, padding=1, groups=5).square().sum().backward()
    for one, other in zip(found, again, strict=True):
        assert (one is None) == (other.grad is None)
        assert one is None or apart(one, other.grad) < 1e-4


def test_the_same_bits_at_any_number_of_threads():
    x = torch.randn(3, 40, 33, 35, requires_grad=True)
    weight = torch.randn(40, 1, 5, 5, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = conv2d(x, weight, padding=2, groups=40)
            results.append([y, *torch.autograd.grad(y.sin().sum(), (x, weight))])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_gradients_of_gradients_registration_and_compilation():
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def call(*tensors):
        return conv2d(*tensors, (2, 1), ((1, 2), (0, 1)), groups=3)

    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias))
    opcheck(torch.ops.striate.depthwise_conv.default, (x, weight, bias, [2, 1], [1, 2, 0, 1], [1, 1]))
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), call(x, weight, bias))


def test_the_same_bits_with_channels_last_at_any_number_of_threads():
    x = torch.randn(3, 70, 21, 19).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(70, 1, 3, 3, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = conv2d(x, weight, padding=1, stride=2, groups=70)
            results.append([y, *torch.autograd.grad(y, (x, weight), torch.ones_like(y))])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_padding_hides_no_number_from_what_is_not_finite():
    """Beyond the borders there is nothing, also nothing that an infinite weight could make NaN of."""
    x = torch.ones(1, 16, 5, 6).contiguous(memory_format=torch.channels_last)
    weight = torch.ones(16, 1, 3, 3)
    weight[:, :, 0] = weight[:, :, :, 0] = torch.inf
    y = conv2d(x, weight, padding=1, groups=16)
    assert not y.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 1, 1)])
def test_volumes_have_the_layout_that_pytorch_gives_them(dtype, kernel):
    x = torch.randn(2, 5, 4, 6, 7, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(5, 1, *kernel, dtype=dtype)
    assert conv3d(x, weight, groups=5).stride() == F.conv3d(x, weight, groups=5).stride()


def test_they_are_what_a_depthwise_call_gets_and_no_other():
    x, weight = torch.randn(2, 4, 8, 8), torch.randn(4, 1, 3, 3)
    assert depthwise_obstacle(2, x, weight, None, 4) == ""
    assert depthwise_obstacle(2, x, torch.randn(8, 1, 3, 3), None, 4)
    assert depthwise_obstacle(2, x[0], weight, None, 4)
    assert depthwise_obstacle(2, x.half(), weight.half(), None, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert depthwise_obstacle(2, x, weight, None, 4)
        assert conv2d(x, weight, groups=4).dtype == torch.bfloat16


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_slices_of_channels_stay_in_their_order(form):
    torch.manual_seed(0)
    wide = torch.randn(2, 8, 9, 10).contiguous(memory_format=form)
    weight = torch.randn(3, 1, 3, 3, requires_grad=True)
    x = wide[:, 2:5].detach().requires_grad_()
    found, wanted = (f(x, weight, padding=1, groups=3) for f in (conv2d, F.conv2d))
    assert found.stride() == wanted.stride()
    for gradient in (wide[:, 4:7], torch.ones(()).expand(2, 3, 9, 10)):
        for ours, theirs in zip(
            *(torch.autograd.grad(y, (x, weight), gradient, retain_graph=True) for y in (found, wanted)),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "ends", "is_pytorchs"),
    [(3, (1, 1), True), (3, (0, 2), False), (5, (2, 2), True), (7, (3, 3), False)],
)
def test_pytorch_has_middle_sizes_with_channels_last(kernel, ends, is_pytorchs):
    x = torch.randn(2, 64, 64, 64).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(64, 1, kernel, kernel), torch.randn(64)

    def ours(x):
        return conv2d(x, weight, bias, padding=(ends, ends), groups=64)

    wanted = F.conv2d(F.pad(x, 2 * ends), weight, bias, groups=64)
    torch.testing.assert_close(ours(x), wanted, atol=1e-4, rtol=1e-4)
    assert ours(x).stride() == wanted.stride()
    assert kernels_used(lambda: ours(x)) == (() if is_pytorchs else ("depthwise_conv",))
    x.requires_grad_()
    both = ("depthwise_conv", "depthwise_conv_backward")
    assert kernels_used(lambda: ours(x).sum().backward()) == both


@pytest.mark.parametrize(
    ("kernel", "columns", "is_pytorchs"),
    [
        (3, 14, False),
        (5, 14, True),
        (7, 14, True),
        (7, 28, False),
        (9, 28, True),
        (5, 40, False),
        (11, 14, False),
    ],
)
def test_pytorch_has_narrow_pictures_channel_by_channel(kernel, columns, is_pytorchs):
    x, weight = torch.randn(4, 256, 14, columns), torch.randn(256, 1, kernel, kernel)

    def ours():
        return conv2d(x, weight, padding="same", groups=256)

    wanted = F.conv2d(x, weight, padding="same", groups=256)
    torch.testing.assert_close(ours(), wanted, atol=1e-3, rtol=1e-3)
    assert ours().stride() == wanted.stride()
    assert kernels_used(ours) == (() if is_pytorchs else ("depthwise_conv",))
    weight.requires_grad_()
    assert kernels_used(ours) == ("depthwise_conv",)
