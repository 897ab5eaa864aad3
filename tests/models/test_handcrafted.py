"""The hand-crafted learner on real pictures."""

import json

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from striate.data.augment import permute_pixels
from striate.data.pictures import PictureSet, Preprocessing
from striate.errors import NotApplicableError
from striate.models.features import extract
from striate.models.handcrafted import HandcraftedLearner
from striate.models.registry import create, restore
from striate.models.subset import affordable_share, stratified_subset
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))


def picture_set(pixels, labels, classes):
    names = tuple(f"{number:05}" for number in range(len(labels)))
    return PictureSet(torch.as_tensor(pixels), torch.as_tensor(labels, dtype=torch.int64), names, classes)


@pytest.fixture(scope="module")
def digits():
    """Training, validation and test part of the real digits."""
    data = load_digits()
    pixels = np.rint(data.images[:, None] * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(pixels))
    everything = picture_set(pixels[order], data.target[order], tuple("0123456789"))
    return [everything.subset(range(*part)) for part in ((0, 1300), (1300, 1440), (1440, 1797))]


@pytest.fixture(scope="module")
def big_digits(digits):
    """Fewer of them, four times as large: SIFT finds something there."""

    def enlarged(pictures, count):
        pixels = torch.nn.functional.interpolate(
            pictures.pixels[:count].float(), scale_factor=4, mode="bilinear"
        )
        return picture_set(pixels.round().to(torch.uint8), pictures.labels[:count], pictures.classes)

    return [enlarged(part, count) for part, count in zip(digits, (400, 100, 150), strict=True)]


def learner(feature, classifier, pictures):
    channels, height, width = pictures.pixels.shape[1:]
    return HandcraftedLearner(feature, classifier, Preprocessing(height, width, channels), pictures.classes)


def fitted(feature, classifier, parts, permutation=None, folder=None, **settings):
    made = learner(feature, classifier, parts[0])
    config = LearnConfig(source="digits", classifier=classifier, **settings)
    report = made.fit(parts[0], parts[1], config, monitor=Monitor(), folder=folder, permutation=permutation)
    return made, report


def accuracy(made, pictures):
    return (made.predict(pictures.pixels).argmax(1) == pictures.labels).double().mean().item()


@pytest.mark.parametrize(("feature", "least"), [("hog", 0.955), ("lbp", 0.955)])
def test_knows_real_digits(feature, least, digits):
    made, report = fitted(feature, "linear", digits)
    assert accuracy(made, digits[2]) >= least
    assert report.pictures == 1300
    assert report.epochs is None
    assert report.seconds > 0
    assert made.macs is None
    assert made.kind == "hand-crafted"


def test_sift_knows_larger_digits(big_digits):
    made, report = fitted("sift", "linear", big_digits)
    assert accuracy(made, big_digits[2]) >= 0.8
    assert made.parameters == sum(t.numel() for t in made.tensors().values())
    assert made.tensors()["vocabulary"].shape[1] == 128
    assert report.settings["checked_against_scikit_image"]["difference"] == 0


@pytest.mark.parametrize("classifier", ["mlp", "svm"])
def test_other_classifiers(classifier, digits):
    small = [digits[0].subset(range(500)), *digits[1:]]
    made, report = fitted("hog", classifier, small, epochs=12)
    assert accuracy(made, digits[2]) >= 0.94
    assert report.epochs == (12 if classifier == "mlp" else None)
    assert (
        made.title
        == {"mlp": "HOG + feed-forward classifier", "svm": "HOG + support vector machine"}[classifier]
    )


@pytest.mark.parametrize(("feature", "classifier"), [("hog", "svm"), ("lbp", "linear"), ("sift", "mlp")])
def test_saved_and_restored_it_answers_with_the_same_bits(feature, classifier, big_digits):
    small = [big_digits[0].subset(range(200)), *big_digits[1:]]
    made, _ = fitted(feature, classifier, small, epochs=2)
    architecture = json.loads(json.dumps(made.architecture()))
    again = restore(feature, "handcrafted", architecture, {k: t.clone() for k, t in made.tensors().items()})
    pixels = big_digits[2].pixels
    expected = made.predict(pixels)
    assert torch.equal(again.predict(pixels), expected)
    assert (again.name, again.title, again.parameters) == (made.name, made.title, made.parameters)
    assert expected.dtype == torch.float32
    torch.testing.assert_close(expected.sum(1), torch.ones(len(pixels)))


@pytest.mark.parametrize("feature", ["hog", "sift"])
def test_same_seed_same_bits(feature, big_digits):
    small = [big_digits[0].subset(range(200)), *big_digits[1:]]
    one, other = (fitted(feature, "linear", small, seed=3)[0].tensors() for _ in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_sift_does_not_apply_where_it_finds_nothing(digits):
    with pytest.raises(NotApplicableError, match=r"keypoints in \d+ of 1,300 pictures of 8×8 pixels"):
        fitted("sift", "linear", digits)


def test_sift_looks_at_a_sample_first(big_digits, monkeypatch):
    monkeypatch.setattr("striate.models.handcrafted.CHECKED", 50)
    blank = picture_set(torch.zeros_like(big_digits[0].pixels), big_digits[0].labels, big_digits[0].classes)
    with pytest.raises(NotApplicableError, match=r"in 0 of a sample of 5. pictures of 32×32 pixels"):
        fitted("sift", "linear", [blank, big_digits[1]])


def test_one_picture_and_no_picture(digits):
    made, _ = fitted("hog", "linear", [digits[0].subset(range(200)), digits[1]])
    pixels = digits[2].pixels
    torch.testing.assert_close(made.predict(pixels[:1]), made.predict(pixels[:5])[:1])
    assert made.predict(pixels[:0]).shape == (0, 10)


def test_asked_before_it_is_fitted(digits):
    with pytest.raises(RuntimeError, match="before it was fitted"):
        learner("hog", "linear", digits[0]).predict(digits[0].pixels)


def test_the_permutation_is_applied_to_training_and_left_to_the_caller_in_prediction(digits):
    permutation = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = [
        picture_set(permute_pixels(p.pixels, permutation), p.labels, p.classes)
        for p in (digits[0].subset(range(300)), *digits[1:])
    ]
    one, _ = fitted("hog", "linear", [digits[0].subset(range(300)), digits[1]], permutation)
    other, _ = fitted("hog", "linear", shuffled)
    assert torch.equal(one.predict(shuffled[2].pixels), other.predict(shuffled[2].pixels))


@pytest.mark.parametrize("feature", ["hog", "lbp"])
@pytest.mark.parametrize("shape", [(1, 1, 9), (3, 9, 1), (3, 1, 1), (1, 7, 30), (3, 20, 20)])
def test_hostile_shapes(feature, shape):
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = random.integers(0, 256, (60, *shape), dtype=np.uint8)
    pixels[labels == 0] = 77  # constant pictures
    train = picture_set(pixels[:40], labels[:40], ("a", "b", "c"))
    made, _ = fitted(feature, "linear", [train, picture_set(pixels[40:], labels[40:], train.classes)])
    answers = made.predict(train.pixels)
    assert torch.isfinite(answers).all()


def test_sift_on_thin_pictures_does_not_apply():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 1, 50), dtype=np.uint8)
    pictures = picture_set(pixels, np.arange(40) % 2, ("a", "b"))
    with pytest.raises(NotApplicableError, match="0 of 40 pictures of 1×50"):
        fitted("sift", "linear", [pictures, pictures])


def test_colour_helps_where_only_colour_differs():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    pixels = np.zeros((200, 3, 16, 16), np.uint8)
    stripes = random.integers(0, 200, (200, 16, 1)) + np.zeros((1, 1, 16))
    for number, label in enumerate(labels):  # rows change in red, or columns in blue
        pixels[number, 0 if label else 2] = stripes[number] if label else stripes[number].T
    train, test = (picture_set(pixels[s], labels[s], ("red", "blue")) for s in (slice(150), slice(150, 200)))
    made, _ = fitted("hog", "linear", [train, test])
    assert accuracy(made, test) == 1.0


def test_a_budget_takes_a_stratified_part_and_says_so(digits, monkeypatch):
    monkeypatch.setattr("striate.models.handcrafted.seconds_per_picture", lambda *_: 0.01)
    made, report = fitted("hog", "linear", digits, budget="10s")
    assert 400 < report.pictures < 700
    assert any(f"{report.pictures:,} of 1,300" in note for note in report.notes)
    assert accuracy(made, digits[2]) > 0.9
    assert report.seconds < 10


def test_a_generous_budget_takes_all(digits):
    _, report = fitted("lbp", "linear", digits, budget="10m")
    assert report.pictures == 1300
    assert not report.notes


def test_cached_features_count_with_the_time_they_took(big_digits, monkeypatch):
    monkeypatch.setattr(extract, "WORTH_SECONDS", 0)
    monkeypatch.setattr(extract, "CACHED_FROM", 1)
    small = [big_digits[0].subset(range(200)), *big_digits[1:]]
    first, report = fitted("sift", "linear", small)
    again, second = fitted("sift", "linear", small)
    assert not report.notes
    assert "cache" in second.notes[0]
    assert all(torch.equal(t, again.tensors()[name]) for name, t in first.tensors().items())


def test_the_report_says_how_close_scikit_image_is(digits):
    _, report = fitted("hog", "linear", [digits[0].subset(range(100)), digits[1]])
    checked = report.settings["checked_against_scikit_image"]
    assert checked["pictures"] == 8
    assert 0 <= checked["difference"] < 1e-6
    json.dumps(report.settings)


def test_the_registry_makes_it(digits):
    config = LearnConfig(source="digits", classifier="svm")
    made = create(
        "lbp", preprocessing=Preprocessing(8, 8, 1), classes=digits[0].classes, train_size=9, config=config
    )
    assert made.title == "LBP + support vector machine"


def test_subsets_are_nested_stratified_and_never_empty():
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    small, large = stratified_subset(labels, 0.2, 0), stratified_subset(labels, 0.5, 0)
    assert set(small.tolist()) <= set(large.tolist())
    assert torch.bincount(labels[small]).tolist() == [18, 2, 1]
    assert stratified_subset(labels, 1.5, 0).tolist() == list(range(100))


def test_shares_lie_on_a_coarse_grid():
    assert affordable_share(1, 1) == 1
    assert affordable_share(1, 2.1) == affordable_share(1, 2.2) == 7 / 16
    assert affordable_share(1, 1000) == 1 / 1024
