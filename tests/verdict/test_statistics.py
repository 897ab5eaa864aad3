"""The statistics against scipy, against their definitions, and in long runs of luck."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from striate.verdict.statistics import holm, mcnemar, mid_p, versus_winner, wilson_interval

probabilities = st.floats(0, 1)


@given(st.integers(1, 100_000), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_scipys(total: int, data: st.DataObject, confidence: float) -> None:
    correct = data.draw(st.integers(0, total))
    theirs = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(correct, total, confidence)
    assert low == pytest.approx(theirs.low, rel=1e-9, abs=1e-12)
    assert high == pytest.approx(theirs.high, rel=1e-9, abs=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


def test_wilson_at_the_ends() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0
    assert wilson_interval(7, 7)[0] == pytest.approx(7 / (7 + stats.norm.ppf(0.975) ** 2))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_wilson_holds_its_level(share: float) -> None:
    total = 60
    inside = [low <= share <= high for low, high in (wilson_interval(k, total) for k in range(total + 1))]
    assert float(stats.binom.pmf(np.arange(total + 1), total, share) @ inside) > 0.91


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0)])
def test_wilson_refuses_nonsense(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        wilson_interval(*arguments)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_mid_p_is_the_binomials(only_a: int, only_b: int) -> None:
    fewer, n = min(only_a, only_b), only_a + only_b
    term, below = 1, 0  # exact: SciPy's distribution function is 0 below 1e-298
    for k in range(fewer):
        below += term
        term = term * (n - k) // (k + 1)
    wanted = float(Fraction(2 * below + term, 2**n))
    if only_a == only_b:
        wanted = 1.0
    assert mid_p(only_a, only_b) == pytest.approx(wanted, rel=1e-8, abs=1e-300)
    assert mid_p(only_a, only_b) == mid_p(only_b, only_a)


def test_mid_p_of_a_published_table() -> None:
    # Bentur et al. as recomputed by Fagerland et al. 2013: 7 against 1 discordant pairs.
    assert mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_mid_p_joins_where_the_method_changes() -> None:
    for n in (1000, 1001):
        wanted = stats.binom.cdf(469, n, 0.5) * 2 + stats.binom.pmf(470, n, 0.5)
        assert mid_p(470, n - 470) == pytest.approx(wanted, rel=1e-10)


def test_mcnemar_counts_only_what_differs() -> None:
    same = [True] * 500 + [False] * 500
    a, b = [*same, True, True, True, True, True], [*same, False, False, False, False, False]
    assert mcnemar(a, b) == mid_p(5, 0) == 2 * 0.5**5 - 0.5**5
    assert mcnemar(same, same) == 1.0
    with pytest.raises(ValueError, match="one length"):
        mcnemar(a, same)


@given(st.lists(probabilities, min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    """The adjusted value is the largest Bonferroni value over all sets of hypotheses with this one in it."""
    indices = range(len(p_values))
    subsets = [set(s) for size in range(1, len(p_values) + 1) for s in combinations(indices, size)]
    bonferroni = [min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets]
    wanted = [max(b for s, b in zip(subsets, bonferroni, strict=True) if i in s) for i in indices]
    assert holm(p_values) == pytest.approx(wanted)


def test_holm_of_nothing_and_of_nonsense() -> None:
    assert holm([]) == []
    with pytest.raises(ValueError, match="0 to 1"):
        holm([0.5, float("nan")])


def test_equal_learners_are_rarely_told_apart() -> None:
    """The winner is picked after looking, and still a false alarm comes in at most 5 % of all tables."""
    random = np.random.default_rng(0)
    tables, alarms = 400, 0
    for _ in range(tables):
        correct = random.random((6, 300)) < 0.9
        winner = int(correct.sum(1).argmax())
        alarms += min(versus_winner(list(correct), winner)) < 0.05
    assert alarms / tables < 0.05 + 2 * np.sqrt(0.05 * 0.95 / tables)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_the_order_of_the_learners_is_of_no_matter(seed: int, learners: int) -> None:
    random = np.random.default_rng(seed)
    correct = random.random((learners, 80)) < random.random((learners, 1))
    order = random.permutation(learners)
    straight = versus_winner(list(correct), int(order[0]))
    mixed = versus_winner(list(correct[order]), 0)
    assert [straight[i] for i in order] == pytest.approx(mixed)
