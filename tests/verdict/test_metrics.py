"""Confusion, per-class scores and worst errors against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from striate.verdict.metrics import confusion_matrix, evaluation, per_class, worst_errors
from striate.verdict.statistics import wilson_interval

CLASSES = ("a", "b", "c", "d")
answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(answers)
def test_confusion_and_scores_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = np.array(pairs).T
    matrix = confusion_matrix(labels, torch.from_numpy(predictions.copy()), 4)
    assert matrix.dtype == np.int64
    assert (matrix == sk.confusion_matrix(labels, predictions, labels=range(4))).all()
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predictions, labels=range(4), zero_division=0
    )
    for i, score in enumerate(per_class(labels, predictions, CLASSES)):
        assert (score.name, score.pictures) == (CLASSES[i], support[i])
        assert (score.recall or 0) == pytest.approx(recall[i])
        assert (score.precision or 0) == pytest.approx(precision[i])
        assert (score.f1 or 0) == pytest.approx(f1[i])
        assert (score.recall is None) == (score.pictures == 0) == (score.recall_interval is None)
        assert (score.precision is None) == (score.predicted == 0) == (score.precision_interval is None)
        if score.recall_interval:
            assert score.recall_interval == wilson_interval(score.correct, score.pictures)


@pytest.mark.parametrize(("labels", "predictions"), [([0, 4], [0, 0]), ([0, 0], [0, -1]), ([0], [0, 1])])
def test_confusion_refuses_nonsense(labels: list[int], predictions: list[int]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        confusion_matrix(labels, predictions, 4)


def test_no_pictures_no_confusion() -> None:
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_evaluation_against_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator)
    given = torch.softmax(torch.randn(200, 4, generator=generator).double() + torch.eye(4)[labels], 1)
    result = evaluation(given, labels, CLASSES)
    called = given.argmax(1).numpy()
    assert result.accuracy == result.correct / 200 == pytest.approx(sk.accuracy_score(labels, called))
    assert result.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert result.log_loss == pytest.approx(sk.log_loss(labels, given.numpy()))
    assert np.sum(result.confusion) == 200
    assert result.to_dict()["per_class"][3]["name"] == "d"


def test_a_class_that_does_not_occur_is_left_out_of_the_balance() -> None:
    result = evaluation(torch.eye(3)[[0, 0, 1]], [0, 0, 0], ["a", "b", "c"])
    assert result.balanced_accuracy == pytest.approx(2 / 3)
    assert result.log_loss == pytest.approx(-np.log(1e-7) / 3)  # certain and wrong once: large but finite


def test_worst_errors_are_the_surest_wrong_answers() -> None:
    given = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9]])
    errors = worst_errors(given, [0, 0, 1, 0, 1], limit=2)
    assert [(e.index, e.true, e.predicted) for e in errors] == [(3, 0, 1), (2, 1, 0)]
    assert errors[0].probability == pytest.approx(0.8)
    assert errors[0].true_probability == pytest.approx(0.2)
    assert worst_errors(given, given.argmax(1), limit=5) == []
