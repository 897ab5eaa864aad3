"""Real models walked: sizes, parameters, multiply-adds and fields of every layer, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry import Trace, TraceError, trace
from striate.models.cnn import CNN
from striate.models.lenet import LeNet


class Model(nn.Module):
    """Layers, and a function of them and the picture."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def sizes(traced: Trace) -> list[tuple[str, Any]]:
    return [(row.name, row.output) for row in traced.layers]


def fields(traced: Trace) -> list[Any]:
    return [row.receptive_field and row.receptive_field.size for row in traced.layers]


class TestRows:
    def test_lenet_as_the_lecture_counts_it(self):
        def forward(self: nn.Module, x: Tensor) -> Tensor:
            x = F.relu(F.max_pool2d(self.conv1(x), 2))
            x = F.relu(F.max_pool2d(self.conv2(x), 2))
            result: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))
            return result

        layers = {"conv1": nn.Conv2d(1, 6, 5), "conv2": nn.Conv2d(6, 16, 5)}
        dense = {"fc1": nn.Linear(400, 120), "fc2": nn.Linear(120, 84), "fc3": nn.Linear(84, 10)}
        traced = trace(Model(forward, **layers, **dense), (1, 32, 32))
        assert sizes(traced) == [
            ("conv1", (6, 28, 28)),
            ("max_pool2d", (6, 14, 14)),
            ("conv2", (16, 10, 10)),
            ("max_pool2d#2", (16, 5, 5)),
            ("flatten", (400,)),
            ("fc1", (120,)),
            ("fc2", (84,)),
            ("fc3", (10,)),
        ]
        assert (traced["conv1"].parameters, traced["conv2"].parameters) == (156, 2_416)
        assert (traced.parameters, traced.output) == (61_706, (10,))
        assert traced["conv2"].macs == 2_400 * 100
        assert traced.macs == 150 * 784 + 240_000 + 400 * 120 + 120 * 84 + 84 * 10
        assert fields(traced) == [(n, n) for n in (5, 6, 14, 16, 16, 32, 32, 32)]
        assert traced.memory("bfloat16", batch=3) == 2 * 3 * sum(prod(shape) for _, shape in sizes(traced))

    def test_striates_own_lenet_counts_the_same(self):
        traced = trace(LeNet(1, (32, 32), 10), (1, 32, 32))
        assert (traced.parameters, traced.macs) == (61_706, 416_520)

    def test_convolutions_of_all_kinds(self):
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2),
            nn.ConvTranspose2d(4, 3, 2, stride=2),
            nn.Flatten(1, -2),
            nn.Linear(8, 5),
        )
        by_hand = 4 * 1 * 9 * 4 * 4 + 4 * 3 * 4 * 4 * 4 + 8 * 5 * 24
        assert trace(model, (2, 6, 6)).macs == by_hand

    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_every_rank(self, rank: int):
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
        pool = (nn.MaxPool1d, nn.AvgPool2d, nn.MaxPool3d)[rank - 1]
        traced = trace(nn.Sequential(conv(2, 3, 3, padding=1), pool(2)), (2, *(8,) * rank))
        assert [row.output for row in traced.layers] == [(3, *(8,) * rank), (3, *(4,) * rank)]
        assert fields(traced) == [(3,) * rank, (4,) * rank]
        assert traced.macs == 6 * 3**rank * 8**rank

    def test_a_batch_changes_nothing(self):
        model = CNN(3, (64, 48), 10)
        one, three = (trace(model, (3, 64, 48), batch=batch) for batch in (1, 3))
        assert one.to_dict() == three.to_dict()

    def test_a_layer_used_twice_counts_its_parameters_once(self):
        layer = nn.Conv2d(3, 3, 3, padding=1)
        traced = trace(nn.Sequential(layer, nn.ReLU(), layer), (3, 8, 8))
        assert [(row.name, row.parameters) for row in traced.layers] == [("0", 84), ("1", 0), ("0#2", 0)]
        assert traced.parameters == 84
        assert traced.macs == 2 * 81 * 64

    def test_parameters_outside_of_layers_and_layers_that_do_not_run(self):
        model = Model(
            lambda self, x: self.conv(x) * self.scale, conv=nn.Conv2d(3, 4, 1), spare=nn.Linear(2, 2)
        )
        model.scale = nn.Parameter(torch.ones(4, 1, 1))
        traced = trace(model, (3, 8, 8))
        assert traced.elsewhere == {"scale": 4}
        assert traced.uncalled == ("spare",)
        assert traced.parameters == 16 + 4 + 6
        assert sum(row.parameters for row in traced.layers) + 4 + 6 == traced.parameters

    def test_attention_counts_products_of_activations(self):
        layer = nn.MultiheadAttention(8, 2, batch_first=True)
        model = Model(lambda self, x: self.attention(*[x.flatten(2).mT] * 3)[0], attention=layer)
        row = trace(model, (8, 4, 4))["attention"]
        assert row.macs == 4 * 16 * 8 * 8 + 2 * 16 * 16 * 8
        assert row.parameters == sum(p.numel() for p in layer.parameters())
        assert row.receptive_field is not None and row.receptive_field.size == (4, 4)

    def test_a_matrix_made_on_the_way_is_no_weight(self):
        def transform(self: nn.Module, x: Tensor) -> Tensor:
            n = torch.arange(8, device=x.device)
            return x @ torch.cos(n * n.unsqueeze(1))

        traced = trace(Model(transform), (3, 8, 8))
        assert traced.macs == 0
        assert traced.receptive_field is not None and traced.receptive_field.size == (1, 8)

    def test_a_single_layer_is_a_model(self):
        traced = trace(nn.Conv2d(3, 4, 3), (3, 8, 8))
        assert sizes(traced) == [("", (4, 6, 6))]

    def test_lazy_layers_take_their_sizes(self):
        traced = trace(nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5)), (3, 8, 8))
        assert traced.output == (5,)

    def test_plain_attributes_and_positions_may_lie_on_the_cpu(self):
        model = Model(lambda self, x: self.embed(self.places) + self.conv(x).flatten(2).mT * self.plain)
        model.embed, model.conv = nn.Embedding(36, 4), nn.Conv2d(3, 4, 3)
        model.register_buffer("places", torch.arange(36))
        model.plain = torch.ones(4)
        traced = trace(model, (3, 8, 8))
        assert traced.output == (36, 4)
        assert traced.receptive_field is not None and traced.receptive_field.size == (3, 3)

    def test_double_and_half(self):
        assert trace(nn.Conv2d(3, 4, 3).double(), (3, 8, 8)).dtype == "float64"
        half = trace(nn.Conv2d(3, 4, 3).to(torch.bfloat16), (3, 8, 8))
        assert (half.dtype, half.memory()) == ("bfloat16", 4 * 36 * 2)


def test_the_model_is_left_as_it_was():
    model = CNN(3, (32, 32), 10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    addresses = [tensor.data_ptr() for tensor in model.state_dict().values()]
    trace(model, (3, 32, 32))
    assert model.training
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == addresses
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class TestFields:
    def test_shortcuts_and_branches_take_the_largest(self):
        model = Model(
            lambda self, x: torch.cat((self.wide(x) + x, self.narrow(x)), 1),
            wide=nn.Conv2d(3, 3, 7, padding=3),
            narrow=nn.Conv2d(3, 2, 3, padding=1),
        )
        traced = trace(model, (3, 16, 16))
        assert sizes(traced)[-1] == ("cat", (5, 16, 16))
        assert fields(traced) == [(7, 7), (7, 7), (3, 3), (7, 7)]

    def test_a_part_of_the_channels_sees_what_that_part_sees(self):
        model = Model(
            lambda self, x: self.last(torch.cat((x, self.wide(x)), 1)[:, :3]),
            wide=nn.Conv2d(3, 3, 7, padding=3),
            last=nn.Conv2d(3, 3, 3),
        )
        field = trace(model, (3, 16, 16)).receptive_field
        assert field is not None and field.size == (3, 3)

    def test_squeeze_and_excitation_sees_the_whole_picture(self):
        model = Model(
            lambda self, x: self.after(self.conv(x) * x.mean((2, 3), keepdim=True)),
            conv=nn.Conv2d(3, 3, 3, padding=1),
            after=nn.Conv2d(3, 3, 3, padding=1),
        )
        field = trace(model, (3, 16, 12)).receptive_field
        assert field is not None
        assert (field.is_closed, field.size, field.stride) == (True, (16, 12), (None, None))

    def test_gaps_are_told_apart(self):
        field = trace(nn.Conv2d(1, 1, 3, dilation=2), (1, 9, 9)).receptive_field
        assert field is not None
        assert field.pixels(0, 1) == [(range(0, 5, 2), range(1, 6, 2))]
        assert field.seen_by(0, 1) == ((0, 4), (1, 5))
        assert field.centre == (2, 2)

    def test_positions_that_are_not_there(self):
        field = trace(nn.Conv2d(1, 1, 3), (1, 9, 9)).receptive_field
        assert field is not None
        with pytest.raises(ArgumentError, match="wanted indices within"):
            field.seen_by(0, 7)
        with pytest.raises(ArgumentError, match="an index for each"):
            field.seen_by(0)

    def test_an_index_that_the_model_makes(self):
        def every_third(self: nn.Module, x: Tensor) -> Tensor:
            index = torch.arange(x.shape[2], device=x.device)
            index = index[: int(index.max()) + index.min().item() + 1 : 3].flip(0)
            return x.index_select(2, index)[:, :, :, torch.tensor([4, 1])]

        field = trace(Model(every_third), (3, 9, 9)).receptive_field
        assert field is not None
        assert [field.seen_by(i, j) for i, j in ((0, 0), (2, 1))] == [((6, 6), (4, 4)), ((0, 0), (1, 1))]

    def test_a_shape_that_is_borrowed(self):
        model = Model(lambda self, x: torch.ones(1).double().type_as(x).expand_as(x).view_as(x) + x)
        field = trace(model, (3, 9, 9)).receptive_field
        assert field is not None and field.size == (1, 1)

    def test_random_numbers_are_not_drawn(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        trace(Model(lambda self, x: x + torch.rand(9, device=x.device)), (3, 9, 9))
        assert torch.equal(torch.get_rng_state(), before)

    def test_in_place_writing(self):
        def write(self: nn.Module, x: Tensor) -> Tensor:
            y = self.conv(x)
            y.relu_()
            y += F.pad(x, (0, 0, 2, 2))[:, :, 2:-2]
            return y

        field = trace(Model(write, conv=nn.Conv2d(3, 3, 5, padding=2)), (3, 9, 9)).receptive_field
        assert field is not None and field.size == (5, 5)


class TestKinds:
    """Whatever a model is made of."""

    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
    @pytest.mark.parametrize(
        "wrap",
        [
            torch.compile,
            torch.jit.script,
            lambda model: (
                torch.nn.utils.parametrize.register_parametrization(model[0], "bias", nn.Tanh()) and model
            ),
            lambda model: Model(lambda self, x: {"logits": self.inner(x)}, inner=model),
            lambda model: Model(lambda self, x: torch.func.vmap(torch.neg)(self.inner(x)), inner=model),
        ],
    )
    def test_wrapped(self, wrap: Callable[[nn.Module], nn.Module]):
        traced = trace(wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), (3, 8, 8))
        assert (traced.output, traced.macs) == ((4, 6, 6), 108 * 36)
        assert traced.receptive_field is not None and traced.receptive_field.size == (3, 3)

    def test_u_net(self):
        model = Model(
            lambda self, x: self.last(torch.cat((self.up(self.down(F.max_pool2d(self.first(x), 2))), x), 1)),
            first=nn.Conv2d(3, 4, 3, padding=1),
            down=nn.Conv2d(4, 4, 3, padding=1),
            up=nn.ConvTranspose2d(4, 4, 2, 2),
            last=nn.Conv2d(7, 2, 1),
        )
        field = trace(model, (3, 32, 32)).receptive_field
        assert field is not None
        assert (field.size, field.stride) == ((8, 8), (1, 1))
        assert [field.seen_by(i, 9) for i in (8, 9, 10)] == [((5, 12), (5, 12))] * 2 + [((7, 14), (5, 12))]

    def test_a_recurrent_layer_sees_what_came_before(self):
        model = Model(lambda self, x: self.lstm(x.mT)[0], lstm=nn.LSTM(3, 5, batch_first=True))
        field = trace(model, (3, 6)).receptive_field
        assert field is not None
        assert [field.seen_by(place, None) for place in (0, 2, 5)] == [((0, 0),), ((0, 2),), ((0, 5),)]

    def test_gates_and_normalisation(self):
        traced = trace(nn.Sequential(nn.GLU(2), nn.Hardswish(), nn.PReLU(), nn.InstanceNorm2d(3)), (3, 8, 6))
        assert fields(traced) == [(5, 1), (5, 1), (5, 1), (8, 6)]

    def test_paddings(self):
        kinds = nn.ReflectionPad2d(1), nn.ReplicationPad2d((1, 2, 0, 1)), nn.CircularPad2d(1), nn.ZeroPad2d(2)
        traced = trace(
            nn.Sequential(*kinds, nn.Conv2d(3, 4, 3, padding="same", padding_mode="circular")), (3, 9, 9)
        )
        assert traced.output == (4, 18, 20)
        assert fields(traced) == [(1, 1)] * 4 + [(3, 3)]

    def test_interpolation(self):
        model = Model(lambda self, x: F.interpolate(x, size=(17, 40), mode="bicubic", align_corners=True))
        field = trace(model, (3, 33, 20)).receptive_field
        assert field is not None
        assert field.stride == (2, Fraction(19, 39))
        assert field.size == (1, 4), "with a stride of 2 and aligned corners every output is an input"


class TestUnknown:
    """What cannot be followed is named, and nothing after it is guessed."""

    @pytest.mark.parametrize(
        ("forward", "name"),
        [
            (lambda self, x: self.conv(x.cumsum(2)), "cumsum"),
            (
                lambda self, x: self.conv(
                    F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)
                ),
                "grid_sampler_2d",
            ),
            (lambda self, x: self.conv(torch.gather(x, 2, x.long().clamp(0, 1))), "gather"),
            (lambda self, x: self.conv(torch.ones(1, 5, 9, 9)[:, x[0, 0, 0, :3].long()]), "index"),
        ],
    )
    def test_operators(self, forward: Callable[..., Tensor], name: str):
        traced = trace(Model(forward, conv=nn.Conv2d(3, 4, 3)), (3, 9, 9))
        assert (traced.output, traced["conv"].macs) == ((4, 7, 7), 108 * 49)
        assert traced["conv"].receptive_field is None
        assert traced["conv"].unknown == traced.unknown == name

    def test_writing_into_a_part(self):
        def write(self: nn.Module, x: Tensor) -> Tensor:
            y = torch.zeros_like(x)
            y[:, :, 1:] = x[:, :, :-1]
            return y

        traced = trace(Model(write), (3, 9, 9))
        assert traced.receptive_field is None
        assert traced.unknown == "copy"

    def test_weights_that_depend_on_the_picture(self):
        model = Model(lambda self, x: self.body(F.conv2d(x, x[:, :, :3, :3])), body=nn.ReLU())
        assert trace(model, (3, 9, 9)).unknown == "convolution with weights that depend on the picture"

    def test_the_layer_is_named(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 1), Model(lambda self, x: x.cumsum(3)), nn.ReLU())
        assert [row.unknown for row in trace(model, (3, 9, 9)).layers] == [None, "cumsum in 1", "cumsum in 1"]


class TestRefusals:
    """Shape errors teach: the layer, the sizes that came, what would fit."""

    @pytest.mark.parametrize(
        ("model", "says"),
        [
            (
                nn.Sequential(nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120)),
                "layer 3 (Linear): it takes 400 numbers, but 1,176 came: 6·14·14 = 1176, flattened;"
                " make it Linear(1176, 120)",
            ),
            (
                nn.Sequential(nn.Conv2d(3, 1, 5), nn.Linear(784, 10)),
                "layer 1 (Linear): it takes 784 numbers, but 1×28×28 came: 1·28·28 = 784, so flatten first:"
                " x.flatten(1)",
            ),
            (
                nn.Sequential(nn.Conv2d(3, 1, 5), nn.Linear(700, 10)),
                "layer 1 (Linear): it takes 700 numbers, but 1×28×28 came, whose last dimension is 28; make it"
                " Linear(28, 10), or flatten first, x.flatten(1), and make it Linear(784, 10)",
            ),
            (
                Model(
                    lambda self, x: self.fc(self.conv(x).view(2, -1)),
                    conv=nn.Conv2d(3, 2, 3),
                    fc=nn.Linear(9, 4),
                ),
                "layer fc (Linear): it takes 9 numbers, but 1,800 came: 2·30·30 = 1800, flattened; make it"
                " Linear(1800, 4)",
            ),
            (
                nn.Sequential(nn.Flatten(0), nn.Linear(3072, 10)),
                "layer 1 (Linear): it takes 3,072 numbers, but 6,144 came: 2 pictures of 3·32·32 = 3072 were"
                " flattened together; keep the batch: x.flatten(1)",
            ),
            (
                nn.Sequential(nn.Conv2d(3, 6, 5), nn.Conv2d(3, 16, 5)),
                "layer 1 (Conv2d): it takes 3 channels, but 6×28×28 came; make it take 6 (in_channels=6), or give"
                " it 3",
            ),
            (nn.ConvTranspose2d(4, 2, 3), "the model: it takes 4 channels, but 3×32×32 came"),
            (
                nn.BatchNorm2d(4),
                "the model: it takes 4 channels, but 3×32×32 came; make it take 3 (num_features=3)",
            ),
            (
                nn.Sequential(nn.Conv2d(3, 6, 50)),
                "layer 0 (Conv2d): height: a window of 50 (dilation 1) does not fit",
            ),
            (nn.Sequential(nn.MaxPool2d(40)), "padding=4 or a kernel of 32 would fit"),
            (
                Model(lambda self, x: self.a(x) + self.b(x), a=nn.Conv2d(3, 6, 3), b=nn.Conv2d(3, 6, 3, 2)),
                "the model: add: 6×30×30 and 6×15×15 came, which differ in height (30, 15) and width (30, 15)",
            ),
            (
                Model(lambda self, x: torch.cat((x, x[:, :, 1:]), 1)),
                "the model: cat: 3×32×32 and 3×31×32 came, which differ in height (32, 31)",
            ),
            (
                Model(lambda self, x: F.linear(F.max_pool2d(x, 2).flatten(1), torch.ones(5, 7))),
                "the model: linear: it takes 7 numbers, but 768 came: 3·16·16 = 768, flattened",
            ),
            (nn.Sequential(nn.PixelShuffle(2)), "layer 0 (PixelShuffle): pixel_shuffle: "),
            (Model(lambda self, x: x.nothing), "the model: 'Tensor' object has no attribute 'nothing'"),
        ],
    )
    def test_sentences(self, model: nn.Module, says: str):
        with pytest.raises(TraceError) as raised:
            trace(model, (3, 32, 32), batch=2)
        assert says in str(raised.value)
        assert "\n" not in str(raised.value)
        assert raised.value.is_refusal

    def test_what_was_done_until_then(self):
        model = nn.Sequential(nn.Conv2d(3, 6, 5), nn.Flatten(), nn.Linear(7, 7))
        with pytest.raises(TraceError) as raised:
            trace(model, (3, 32, 32))
        assert sizes(raised.value.trace) == [("0", (6, 28, 28)), ("1", (4704,))]

    @pytest.mark.parametrize(
        "forward",
        [
            lambda self, x: x if x.sum() > 0 else -x,
            lambda self, x: x * x.sum().item(),
            lambda self, x: x * float(x.sum()),
            lambda self, x: x * x.sum().tolist(),
        ],
    )
    def test_values_are_asked_for(self, forward: Callable[..., Tensor]):
        model = nn.Sequential(Model(forward))
        with pytest.raises(
            TraceError, match=r"layer 0 \(Model\): it asks for the value of a tensor"
        ) as raised:
            trace(model, (3, 32, 32))
        assert not raised.value.is_refusal

    @pytest.mark.parametrize("shape", [(3,), (3, 0, 5), ()])
    def test_sizes_that_cannot_be(self, shape: tuple[int, ...]):
        with pytest.raises(ArgumentError, match="wanted channels and sizes"):
            trace(nn.ReLU(), shape)

    def test_models_that_cannot_be_copied(self):
        model = nn.Sequential(nn.ReLU())
        model.generator = (n for n in range(3))  # type: ignore[assignment]
        with pytest.raises(ArgumentError, match="a Sequential that cannot be copied"):
            trace(model, (3, 8, 8))


def test_200_layers():
    parts = (nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    model = nn.Sequential(*(part for _ in range(200) for part in parts))
    assert fields(trace(model, (16, 224, 224)))[-1] == (401, 401)
