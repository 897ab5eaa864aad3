"""Classifiers on hand-crafted features: right, calibrated, repeatable, stored as tensors."""

import time

import numpy as np
import pytest
import torch

from striate.models.classifiers import CLASSIFIERS, Samples, Terms, fit_classifier, restore_classifier
from striate.models.classifiers.base import calibrated_loss, calibrating_factor, standardise_, standardised
from striate.models.classifiers.hidden_layer import HiddenLayerClassifier
from striate.models.classifiers.linear import fit_linear
from striate.models.classifiers.svm import gaussian_kernel
from striate.train.config import LearnConfig

NAMES = tuple(CLASSIFIERS)


def clusters(n, seed, classes=3, width=12, spread=1.0):
    """Overlapping clusters with columns of very different means and spreads, one of them constant."""
    centres = np.random.default_rng(99).normal(size=(classes, width)) * 1.2
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    x = centres[labels] + random.normal(size=(n, width)) * spread
    x = x * np.logspace(-2, 1, width) + np.linspace(-5, 5, width)
    x[:, 0] = 3.0
    return Samples(torch.tensor(x, dtype=torch.float32), torch.tensor(labels))


def settings(**values):
    return LearnConfig(source="digits", **{"epochs": 8, **values})


def fit(name, train=None, val=None, classes=3, deadline=None, **values):
    train, val = train or clusters(600, 0), val or clusters(200, 1)
    train = Samples(train.features.clone(), train.labels)  # it is overwritten
    return fit_classifier(name, train, val, Terms(classes, settings(**values), deadline=deadline))


def accuracy(fitted, samples):
    answers = fitted.classifier.probabilities(samples.features).argmax(1)
    return (answers == samples.labels).double().mean().item()


@pytest.mark.parametrize("name", NAMES)
def test_learns_and_is_calibrated(name):
    fitted, test = fit(name), clusters(1000, 2)
    p = fitted.classifier.probabilities(test.features)
    assert p.dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones(1000))
    right = (p.argmax(1) == test.labels).double()
    assert right.mean() > 0.95
    assert abs(p.max(1).values.mean() - right.mean()) < 0.03


@pytest.mark.parametrize("name", NAMES)
def test_repeats_bit_for_bit_and_leaves_the_random_state_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = fit(name).classifier.tensors()
    torch.rand(3)
    other = fit(name).classifier.tensors()
    torch.set_rng_state(before)
    assert all(torch.equal(one[key], other[key]) for key in one)
    fit(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_restored_from_tensors_it_answers_with_the_same_bits(name):
    classifier, test = fit(name).classifier, clusters(50, 2)
    again = restore_classifier(name, classifier.tensors())
    assert torch.equal(again.probabilities(test.features), classifier.probabilities(test.features))
    assert again.parameters == sum(t.numel() for t in classifier.tensors().values())
    assert all(t.dtype == torch.float32 for t in classifier.tensors().values())


@pytest.mark.parametrize("name", NAMES)
def test_hostile_features(name):
    train, val = clusters(60, 0), clusters(20, 1)
    constant = Samples(torch.full((60, 5), 7.0), train.labels), Samples(torch.full((20, 5), 7.0), val.labels)
    for a, b in (constant, (train, Samples(val.features[:3], torch.tensor([0, 1, 2])))):
        p = fit(name, a, b).classifier.probabilities(b.features)
        assert torch.isfinite(p).all()
        torch.testing.assert_close(p.sum(1), torch.ones(len(p)))
    assert fit(name).classifier.probabilities(torch.empty(0, 12)).shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_balance_helps_the_rare_class(name):
    def skewed(n, seed):
        everything = clusters(n, seed, spread=3.0)
        kept = (everything.labels != 0) | (torch.arange(n) % 20 == 0)
        return Samples(everything.features[kept], everything.labels[kept])

    train, val, test = skewed(1500, 0), skewed(900, 1), clusters(1500, 2, spread=3.0)
    rare = test.labels == 0
    recall = [
        (fit(name, train, val, balance=on).classifier.probabilities(test.features).argmax(1)[rare] == 0)
        .double()
        .mean()
        for on in (False, True)
    ]
    assert recall[1] > recall[0] + 0.15


@pytest.mark.parametrize("name", NAMES)
def test_a_deadline_is_kept(name):
    began = time.perf_counter()
    fitted = fit(name, clusters(3000, 0, width=400), clusters(500, 1, width=400), deadline=began, epochs=50)
    assert time.perf_counter() - began < 10
    assert torch.isfinite(torch.cat([t.flatten() for t in fitted.classifier.tensors().values()])).all()
    if name == "mlp":
        assert fitted.epochs == 1
    else:
        assert "budget" in fitted.notes[0]


def test_linear_is_the_optimum_that_scikit_learn_finds():
    from sklearn.linear_model import LogisticRegression

    train, val = clusters(500, 0), clusters(300, 1)
    fitted = fit_linear(Samples(train.features.clone(), train.labels), val, Terms(3, settings()))
    x = train.features.clone()
    mean, scale = standardise_(x)
    strength = fitted.settings["regularisation"]
    reference = LogisticRegression(C=1 / (strength * len(x)), tol=1e-9, max_iter=10_000).fit(x, train.labels)
    logits = torch.tensor(reference.decision_function(standardised(val.features, mean, scale)))
    logits = logits * calibrating_factor(logits, val.labels, torch.ones(len(val.labels)))
    own = fitted.classifier.probabilities(val.features)
    torch.testing.assert_close(own, logits.softmax(1).float(), atol=5e-3, rtol=0)


def test_svm_separates_what_no_line_can():
    random = np.random.default_rng(0)
    x = random.normal(size=(900, 2))
    samples = Samples(torch.tensor(x, dtype=torch.float32), torch.tensor((x**2).sum(1) > 1.4).long())
    train, val, test = (
        Samples(samples.features[s], samples.labels[s])
        for s in (slice(500), slice(500, 700), slice(700, 900))
    )
    assert accuracy(fit("svm", train, val, classes=2), test) > 0.95
    assert accuracy(fit("linear", train, val, classes=2), test) < 0.7


def test_svm_with_fewer_landmarks_than_samples(monkeypatch):
    monkeypatch.setattr("striate.models.classifiers.svm.LANDMARKS", 40)
    fitted = fit("svm")
    assert fitted.settings["landmarks"] == 40
    assert accuracy(fitted, clusters(500, 2)) > 0.93


def test_gaussian_kernel_of_equal_rows_is_one():
    x = torch.randn(20, 300) * 50
    kernel = gaussian_kernel(x, x, 1e-4)
    torch.testing.assert_close(kernel.diagonal(), torch.ones(20), atol=1e-3, rtol=0)
    assert kernel.max() <= 1


def test_mlp_takes_the_settings_of_a_network_and_tells_its_history():
    fitted = fit("mlp", epochs=3, batch_size=50, learning_rate=0.01, label_smoothing=0.0, weight_decay=0.0)
    assert fitted.settings == {
        "hidden_units": 256, "batch_size": 50, "learning_rate": 0.01, "weight_decay": 0.0, "label_smoothing": 0.0,
    }  # fmt: skip
    assert fitted.epochs == 3 == len(fitted.history)
    assert {"epoch", "train_loss", "val_loss", "val_accuracy", "learning_rate"} <= fitted.history[0].keys()
    assert isinstance(fitted.classifier, HiddenLayerClassifier)


def test_standardised_columns_have_no_mean_and_constant_ones_vanish():
    x = clusters(500, 0).features
    original = x.clone()
    mean, scale = standardise_(x)
    assert x.mean(0).abs().max() < 1e-5
    assert not x[:, 0].any()
    torch.testing.assert_close(standardised(original, mean, scale), x)


def test_calibration_softens_what_is_too_sure():
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2000,), generator=random)
    honest = torch.nn.functional.one_hot(labels, 3) * 2.0 + torch.randn(2000, 3, generator=random)
    weights = torch.ones(2000)
    factors = [calibrating_factor(honest * scale, labels, weights) * scale for scale in (0.5, 1, 8)]
    np.testing.assert_allclose(factors, factors[1], rtol=0.01)
    losses = [calibrated_loss(honest * scale, labels, weights) for scale in (0.5, 8)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
