"""Our optimisers against PyTorch's own: the same bits, the same names of the state, without its compiler."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from striate.models.lenet import RECIPE
from striate.train.config import LearnConfig
from striate.train.optimizer import Optimizer, make_optimizer
from striate.train.settings import resolve

KINDS = pytest.mark.parametrize("kind", ["adamw", "sgd"])


def network_of(seed: int) -> torch.nn.Sequential:
    """A convolution in channels last, a frozen layer, and one that some steps pass by."""
    torch.manual_seed(seed)
    layers = (
        torch.nn.Conv2d(3, 5, 3),
        torch.nn.Linear(5, 4),
        torch.nn.Linear(4, 4).requires_grad_(False),
        torch.nn.Linear(4, 3, dtype=torch.float64),
    )
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def pair(kind: str) -> tuple[torch.nn.Sequential, Optimizer, torch.nn.Sequential, torch.optim.Optimizer]:
    ours, theirs = network_of(0), network_of(0)
    config = LearnConfig(source="digits", epochs=1, weight_decay=0.03)
    settings = replace(resolve(config, RECIPE, 1000, 8, False), optimizer=kind)
    parameters = [p for p in theirs.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.03},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    peer: torch.optim.Optimizer
    if kind == "sgd":
        peer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True)
    else:
        peer = torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.99), fused=True)
    return ours, make_optimizer(ours, settings), theirs, peer


def backward(network: torch.nn.Sequential, step: int, whole: bool = True) -> None:
    x = torch.randn(7, 3, 6, 6, generator=torch.Generator().manual_seed(step))
    network.zero_grad()
    features = network[1](network[0](x).mean((2, 3)).relu())
    out = network[3](network[2](features).double()) if whole else features
    out.square().sum().backward()


def take(peer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in peer.param_groups:
        group["lr"] = learning_rate
    peer.step()


def flat(peer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = peer.state_dict()["state"]
    return {f"{i}/{slot}": value for i, slots in state.items() for slot, value in slots.items()}


@KINDS
def test_steps_are_pytorchs_bit_for_bit(kind):
    """Over three dtypes and layouts, with a frozen layer."""
    ours, optimizer, theirs, peer = pair(kind)
    for step in range(12):
        for network in (ours, theirs):
            backward(network, step)
        optimizer.step(0.01 / (step + 1))
        take(peer, 0.01 / (step + 1))
        assert optimizer.learning_rate == 0.01 / (step + 1)
        assert all(map(torch.equal, ours.parameters(), theirs.parameters())), step
    tensors, wanted = optimizer.tensors(), flat(peer)
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert all(tensors[name].dtype == wanted[name].dtype for name in wanted)


def test_parameters_without_a_gradient_stay_and_are_not_aged():
    """PyTorch's fused SGD cannot do this at all; AdamW counts the steps of each parameter."""
    ours, optimizer, theirs, peer = pair("adamw")
    for step in range(12):
        for network in (ours, theirs):
            backward(network, step, whole=step in (3, 4, 8))
        optimizer.step(0.02)
        take(peer, 0.02)
        assert all(map(torch.equal, ours.parameters(), theirs.parameters())), step
        assert optimizer.tensors().keys() == flat(peer).keys()


def test_momentum_starts_when_the_gradient_comes():
    ours, optimizer, *_ = pair("sgd")
    before = [p.detach().clone() for p in ours[3].parameters()]
    backward(ours, 0, whole=False)
    optimizer.step(0.1)
    assert all(map(torch.equal, ours[3].parameters(), before)) and len(optimizer.tensors()) == 4
    backward(ours, 1)
    gradient, weight = ours[3].bias.grad.clone(), ours[3].bias.detach().clone()
    optimizer.step(0.1)
    torch.testing.assert_close(ours[3].bias.detach(), weight - 0.1 * 1.9 * gradient)


@KINDS
def test_a_stored_state_goes_on_in_either(kind):
    """A run that PyTorch's optimiser began goes on with ours; checkpoints keep their names."""
    ours, optimizer, theirs, peer = pair(kind)
    for step in range(5):
        backward(theirs, step)
        take(peer, 0.01)
    ours.load_state_dict(theirs.state_dict())
    saved = {name: value.detach().clone().contiguous() for name, value in flat(peer).items()}
    backward(ours, 99)
    optimizer.step(0.5)  # what came before is forgotten
    ours.load_state_dict(theirs.state_dict())
    optimizer.restore(saved)
    for step in range(5, 9):
        for network in (ours, theirs):
            backward(network, step)
        optimizer.step(0.01)
        take(peer, 0.01)
        assert all(map(torch.equal, ours.parameters(), theirs.parameters())), step
    for index, parameter in enumerate(optimizer.parameters):
        for name, value in optimizer.tensors().items():
            if name.startswith(f"{index}/") and value.ndim:
                assert value.stride() == parameter.stride()


def test_clear_forgets_gradients():
    ours, optimizer, *_ = pair("adamw")
    backward(ours, 0)
    optimizer.clear()
    assert all(parameter.grad is None for parameter in ours.parameters())
    before = [p.detach().clone() for p in ours.parameters()]
    optimizer.step(0.1)
    assert all(map(torch.equal, ours.parameters(), before)) and optimizer.tensors() == {}


@pytest.mark.parametrize("model", ["lenet", "cnn"])
def test_training_does_not_import_pytorchs_compiler(model, tmp_path):
    words = ["train", "digits", "--model", model, "--epochs", "1", "--quiet", "--out", str(tmp_path / "run")]
    script = (
        "import sys\nfrom striate.cli import main\n"
        f"code = main({words!r})\n"
        "print(sorted({'torch._dynamo', 'torch._inductor'} & set(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
