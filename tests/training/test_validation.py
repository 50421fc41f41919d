"""Guards that validation rows are chosen as held-out rows are: whole groups, latest times, in proportion."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.training.validation import divide
from sklearn.model_selection import StratifiedShuffleSplit

fractions = st.sampled_from([0.05, 0.1, 0.2, 1 / 3, 0.5, 0.8])
seeds = st.integers(0, 1000)


def divided(method, codes=None, classes=None, fraction=0.2, seed=0, gap=0, n=None):
    codes = np.zeros(n or len(classes), np.int64) if codes is None else np.asarray(codes)
    classes = None if classes is None else np.asarray(classes)
    optimized, validation = divide(method, gap, codes, classes, fraction, seed)
    both = np.concatenate([optimized, validation])
    assert len(np.unique(both)) == len(both) <= len(codes)
    assert (np.diff(optimized) > 0).all() and (np.diff(validation) > 0).all()
    if method != "time":
        assert len(both) == len(codes)
    return optimized, validation


@pytest.mark.parametrize("method", ["kfold", "column", "file"])
@given(n=st.integers(2, 300), fraction=fractions, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_rows_at_random(method, n, fraction, seed):
    optimized, validation = divided(method, n=n, fraction=fraction, seed=seed)
    assert len(validation) == min(max(1, round(fraction * n)), n - 1) and len(optimized) > 0


def test_every_row_is_as_likely_and_a_seed_decides():
    chosen = [divided("kfold", n=20, fraction=0.25, seed=seed)[1] for seed in range(2000)]
    assert np.abs(np.bincount(np.concatenate(chosen), minlength=20) / 2000 - 0.25).max() < 0.05
    np.testing.assert_array_equal(divided("kfold", n=20, fraction=0.25, seed=7)[1], chosen[7])


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), fractions, seeds)
@settings(max_examples=150, deadline=None)
def test_classes_in_proportion_as_scikit_learn_has_them(sizes, fraction, seed):
    """And each keeps a row for the optimizer, those with one row too, which scikit-learn refuses."""
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    optimized, validation = divided("stratified", classes=classes, fraction=fraction, seed=seed)
    assert len(optimized) and len(validation)
    found = np.bincount(classes[validation], minlength=len(sizes))
    if max(sizes) == 1:
        return
    assert np.bincount(classes[optimized], minlength=len(sizes)).min() >= 1
    n_validation = min(max(1, round(fraction * len(classes))), len(classes) - 1)
    splitter = StratifiedShuffleSplit(1, test_size=n_validation, random_state=seed)
    try:
        _, expected = next(splitter.split(classes, classes))
    except ValueError:
        return
    share = n_validation * np.array(sizes) / len(classes)
    if (np.ceil(share) < sizes).all():
        assert len(validation) == n_validation
        # scikit-learn fills the training part first, so what is left over may be a row more or less.
        assert np.abs(found - np.bincount(classes[expected], minlength=len(sizes))).max() <= 1
        assert (np.floor(share) <= found).all() and (found <= np.ceil(share)).all()


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), fractions, seeds)
@settings(max_examples=150, deadline=None)
def test_whole_groups_as_close_to_the_fraction_as_half_a_group(sizes, fraction, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    optimized, validation = divided("group", codes, fraction=fraction, seed=seed)
    assert len(optimized) and len(validation)
    assert not set(codes[optimized]) & set(codes[validation])
    off = abs(len(validation) - fraction * len(codes))
    possible = [
        abs(sum(some) - fraction * len(codes))
        for count in range(1, len(sizes))
        for some in itertools.combinations(sizes, count)
    ]
    assert off <= max(max(sizes) / 2, min(possible)) + 1e-9
    if len(sizes) <= 4:
        assert off == pytest.approx(min(possible)), "few groups are tried in all orders"


@given(st.integers(2, 40), st.integers(1, 4), fractions, seeds)
@settings(max_examples=100, deadline=None)
def test_whole_groups_leave_the_optimizer_each_class_where_they_can(n_groups, n_classes, fraction, seed):
    generator = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_groups), generator.integers(0, n_groups, 60)])
    classes = np.concatenate([np.zeros(n_groups, np.int64), generator.integers(0, n_classes, 60)])
    optimized, validation = divided("stratified_group", codes, classes, fraction, seed)
    assert len(optimized) and len(validation)
    assert not set(codes[optimized]) & set(codes[validation])
    can = any(set(classes[codes != group]) == set(classes) for group in range(n_groups))
    assert set(classes[optimized]) == set(classes) or not can


def test_whole_groups_with_classes_in_proportion():
    generator = np.random.default_rng(0)
    codes, classes = generator.integers(0, 200, 5000), generator.choice(3, 5000, p=[0.7, 0.2, 0.1])
    _, validation = divided("stratified_group", codes, classes, 0.1)
    shares = np.bincount(classes[validation]) / np.bincount(classes)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), fractions, st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_the_latest_times_and_the_gap_before_them(times, fraction, gap):
    codes = np.unique(times, return_inverse=True)[1]
    optimized, validation = divided("time", codes, fraction=fraction, gap=gap)
    n_times = codes.max() + 1
    if n_times < gap + 2:
        assert len(validation) == 0 and len(optimized) == len(codes)
        return
    assert codes[optimized].max() + gap + 1 == codes[validation].min()
    np.testing.assert_array_equal(validation, np.flatnonzero(codes >= codes[validation].min()))
    np.testing.assert_array_equal(optimized, np.flatnonzero(codes < codes[validation].min() - gap))
    possible = [np.count_nonzero(codes >= first) for first in range(gap + 1, n_times)]
    wanted = fraction * len(codes)
    assert abs(len(validation) - wanted) == min(abs(number - wanted) for number in possible)


@pytest.mark.parametrize("method", ["kfold", "stratified", "group", "stratified_group", "time"])
def test_what_cannot_be_divided_is_the_optimizers(method):
    optimized, validation = divided(method, codes=[0], classes=[0])
    assert (optimized.tolist(), validation.tolist()) == ([0], [])
    if method in ("group", "stratified_group", "time"):
        assert [len(rows) for rows in divided(method, codes=[0] * 9, classes=[0, 1, 1] * 3)] == [9, 0]


def test_classes_of_one_row_each_are_divided_at_random():
    optimized, validation = divided("stratified", classes=[0, 1, 2, 3], fraction=0.5)
    assert len(optimized) == len(validation) == 2
