"""Hugging Face's vision models with random weights, Striate's own networks and every operator of Striate's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

import striate.nn
from striate import geometry
from striate.geometry import Trace, trace
from striate.models.network import build_network
from striate.ops._registry import operators
from striate.ops._spec import Call

SIZE = (3, 64, 64)
WIDTHS: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32]}
ATTENTION: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}

CONVOLUTIONAL: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: hf.ResNetForImageClassification(
        hf.ResNetConfig(embedding_size=8, depths=[2, 2, 1, 1], layer_type="basic", **WIDTHS)
    ),
    "bottleneck resnet": lambda: hf.ResNetForImageClassification(
        hf.ResNetConfig(embedding_size=8, depths=[1, 2, 1, 1], **WIDTHS)
    ),
    "convnext": lambda: hf.ConvNextForImageClassification(hf.ConvNextConfig(depths=[1, 1, 2, 1], **WIDTHS)),
    "mobilenet v1": lambda: hf.MobileNetV1ForImageClassification(hf.MobileNetV1Config(depth_multiplier=0.25)),
    "mobilenet v2": lambda: hf.MobileNetV2ForImageClassification(hf.MobileNetV2Config(depth_multiplier=0.35)),
    "efficientnet": lambda: hf.EfficientNetForImageClassification(
        hf.EfficientNetConfig(width_coefficient=0.3, depth_coefficient=0.3, hidden_dim=384)
    ),
    "regnet": lambda: hf.RegNetForImageClassification(
        hf.RegNetConfig(embedding_size=8, depths=[1, 1, 1, 1], groups_width=8, **WIDTHS)
    ),
    "segformer": lambda: hf.SegformerForSemanticSegmentation(
        hf.SegformerConfig(
            depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 2], decoder_hidden_size=16, **WIDTHS
        )
    ),
}
ATTENTIVE: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**ATTENTION)),
    "swin": lambda: hf.SwinForImageClassification(
        hf.SwinConfig(image_size=64, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4)
    ),
    "mobilevit": lambda: hf.MobileViTForImageClassification(
        hf.MobileViTConfig(
            image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 16, 16, 32]
        )
    ),
}
ALL = {**CONVOLUTIONAL, **ATTENTIVE}
OWN = ("mlp", "lenet", "cnn", "separable", "flattened", "inception", "dilated")


def check_rows(model: nn.Module, traced: Trace, size: tuple[int, ...]) -> None:
    """Sizes of every layer are those of a real forward pass, parameters are all there."""
    real: dict[str, list[tuple[int, ...]]] = {}

    def remember(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output if isinstance(output, Tensor) else next(iter(output), None)
            real.setdefault(name, []).append(tuple(first.shape) if isinstance(first, Tensor) else ())

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(remember(name))
    with torch.no_grad():
        model.eval()(torch.randn(2, *size))
    names = dict(model.named_modules())
    for row in traced.layers:
        name, _, time = row.name.partition("#")
        if name in names and row.output is not None:
            shape = real[name][int(time or 1) - 1]
            whole = (2, *row.output) if shape[0] == 2 else (2 * row.output[0], *row.output[1:])
            assert whole == shape or shape == row.output or shape == (1, *row.output), row
    counted = sum(row.parameters for row in traced.layers) + sum(traced.elsewhere.values())
    idle = sum(p.numel() for name in traced.uncalled for p in names[name].parameters())
    assert counted + idle == traced.parameters == sum(p.numel() for p in model.parameters())
    products = [row for row in traced.layers if row.kind in ("Linear", "Conv2d") and row.output]
    for row in products:
        weight = names[row.name.partition("#")[0]].weight
        assert isinstance(weight, Tensor)
        channels = row.output[0 if row.kind == "Conv2d" else -1]
        assert row.macs == weight.numel() * row.activations // channels


@pytest.mark.parametrize("name", ALL)
def test_hugging_face(name: str):
    torch.manual_seed(0)
    model = ALL[name]()
    traced = trace(model, SIZE)
    check_rows(model, traced, SIZE)
    assert traced.unknown is None
    fields = [row.receptive_field for row in traced.layers if row.receptive_field is not None]
    assert fields[-1].size == SIZE[1:], "the class depends on the whole picture"
    if name in CONVOLUTIONAL:
        assert all(field.is_closed for field in fields)


@pytest.mark.parametrize("name", OWN)
def test_own_networks(name: str):
    model = build_network(name, SIZE, 10)
    traced = trace(model, SIZE)
    check_rows(model, traced, SIZE)
    assert traced.receptive_field is not None and traced.receptive_field.is_closed
    assert traced.receptive_field.size == SIZE[1:]


@pytest.mark.parametrize("name", ["resnet", "convnext", "mobilenet v2", "regnet"])
def test_fields_equal_autograd_on_positive_weights(name: str):
    """Maximum pooling passes a gradient to one of its inputs only, so an average stands in its place."""
    torch.manual_seed(0)
    model = CONVOLUTIONAL[name]().double().eval()
    for module in model.modules():
        for label, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, label, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().mul_(0.1).add_(1e-3)  # small, so that a ReLU6 is not saturated
    stages = nn.ModuleList([model.base_model])

    class Map(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = stages

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.stages[0](x, output_hidden_states=True).hidden_states[2]
            return result

    x = (torch.rand(1, *SIZE, dtype=torch.float64) + 0.5).requires_grad_()
    y = Map()(x)
    field = trace(Map(), SIZE).receptive_field
    assert field is not None
    height, width = y.shape[2:]
    for i, j in ((0, 0), (height // 2, width // 2), (height - 1, 1)):
        (gradient,) = torch.autograd.grad(
            (y[0, :, i, j] * torch.rand(y.shape[1])).sum(), x, retain_graph=True
        )
        seen = (gradient[0] != 0).any(0)
        mask = torch.zeros_like(seen)
        for rows, columns in field.pixels(i, j):
            mask[torch.tensor(list(rows))[:, None], torch.tensor(list(columns))] = True
        assert torch.equal(mask, seen)


class Calling(nn.Module):
    """A function of ``striate.functional`` with its weights."""

    def __init__(self, function: Callable[..., Tensor], arguments: dict[str, Any], options: Any) -> None:
        super().__init__()
        self.function = function
        self.options = options
        self.lists = {name: len(value) for name, value in arguments.items() if isinstance(value, list)}
        self.weights = nn.ParameterDict()
        for name, value in arguments.items():
            for place, tensor in enumerate(value if isinstance(value, list) else [value]):
                self.weights[f"{name}_{place}" if isinstance(value, list) else name] = nn.Parameter(tensor)

    def forward(self, x: Tensor) -> Any:
        listed = {n: [self.weights[f"{n}_{i}"] for i in range(k)] for n, k in self.lists.items()}
        plain = {n: w for n, w in self.weights.items() if n.rpartition("_")[0] not in self.lists}
        return self.function(x, **plain, **listed, **self.options)


def traceable(call: Call) -> bool:
    """A batch of pictures, and no indices asked for."""
    shape = call.tensors.get("input")
    rank = next((int(letter) for letter in reversed(call.function) if letter.isdigit()), None)
    batched = isinstance(shape, tuple) and rank is not None and len(shape) == rank + 2 and 0 not in shape
    return batched and not call.options.get("return_indices")


@pytest.mark.parametrize("name", operators())
def test_every_operator(name: str):
    """Followed to the end, with the sizes and the multiply-adds that its spec states."""
    spec = operators()[name]
    calls = [call for call in spec.samples if traceable(call)]
    for call in calls:
        arguments = {k: v for k, v in spec.tensors(call).items() if k != "input"}
        shape = call.tensors["input"]
        assert isinstance(shape, tuple) and isinstance(shape[0], int)
        model = Calling(spec.functions[call.function], arguments, call.options)
        traced = trace(model, shape[1:], batch=shape[0])  # type: ignore[arg-type]
        assert traced.unknown is None, call
        assert (shape[0], *(traced.output or ())) == spec.output_shape(call), call
        if call.name == "kernel wider than the input":  # taps that never meet it are cut off
            assert traced.macs * shape[0] <= spec.macs(call)
        else:
            assert traced.macs * shape[0] == spec.macs(call), call


LEARNED_POOLS = [
    ("LPPool2d", {"norm_type": 3.0, "learnable": True}, geometry.lp_pool, {"learnable": True}),
    ("MixedPool2d", {"mode": "fixed"}, geometry.mixed_pool, {"mode": "fixed"}),
    ("MixedPool2d", {"mode": "learned"}, geometry.mixed_pool, {"mode": "learned"}),
    (
        "MixedPool2d",
        {"mode": "learned", "channels": 4},
        geometry.mixed_pool,
        {"mode": "learned", "channels": 4},
    ),
    ("MixedPool2d", {"mode": "gated"}, geometry.mixed_pool, {"mode": "gated"}),
    ("MixedPool2d", {"mode": "gated", "channels": 4}, geometry.mixed_pool, {"mode": "gated", "channels": 4}),
]


@pytest.mark.parametrize(("name", "options", "figures", "same"), LEARNED_POOLS)
def test_learned_pools(name: str, options: Any, figures: Callable[..., geometry.Layer], same: Any):
    layer = getattr(striate.nn, name)(**options, kernel_size=(3, 2), stride=2, padding=1)
    row = trace(nn.Sequential(layer), (4, 9, 8)).layers[0]
    mine = figures((4, 9, 8), (3, 2), 2, 1, **same)
    assert (row.output, row.parameters, row.macs) == (mine.output, mine.parameters, mine.macs)
    assert row.receptive_field is not None and row.receptive_field.size == (3, 2)
