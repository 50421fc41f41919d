"""Guards what is said of several seeds: split and seed told apart, and what averaging gains."""

import json

import example_results
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from regfold.formatting import significant
from regfold.report import sentences
from regfold.report.tables import scores as score_tables
from regfold.results import metrics, seeds
from scipy import stats


def simulated(random, k, n, split, seed, number):
    """(number, k, n) scores with these standard deviations between folds and within."""
    return 10 + random.normal(0, split, (number, k, 1)) + random.normal(0, seed, (number, k, n))


@pytest.mark.parametrize(("split", "seed"), [(2.0, 1.0), (0.5, 2.0), (0.0, 1.0)])
def test_the_components_of_simulated_scores_are_found(split, seed):
    found = [seeds.components(one) for one in simulated(np.random.default_rng(0), 5, 4, split, seed, 4000)]
    assert np.mean([one.seed for one in found]) == pytest.approx(seed**2, rel=0.03)
    share = seed**2 / (split**2 + seed**2)
    covered = np.mean([one.low - 1e-12 <= share <= one.high + 1e-12 for one in found])
    assert 0.935 <= covered <= 0.985  # 97.5 % at a split of 0, where no interval ends too low
    if split:
        # The estimate that is cut off at 0 is unbiased before: compare its mean where it hardly ever is.
        many = [
            seeds.components(one) for one in simulated(np.random.default_rng(1), 40, 10, split, seed, 1000)
        ]
        assert np.mean([one.split for one in many]) == pytest.approx(split**2, rel=0.06)
        assert np.mean([one.share for one in many]) == pytest.approx(share, abs=0.03)


def test_they_are_those_of_the_analysis_of_variance():
    """Against SciPy's F statistic of a one-way layout, MSB / MSW."""
    scores = np.random.default_rng(2).gamma(3, size=(6, 4)) + 2 * np.arange(6)[:, None]
    found, statistic = seeds.components(scores), stats.f_oneway(*scores).statistic
    assert found.seed == pytest.approx(np.var(scores, axis=1, ddof=1).mean())
    assert found.split == pytest.approx(max(0, (statistic - 1) * found.seed / 4))
    ratio = [(statistic / stats.f.ppf(q, 5, 18) - 1) / 4 for q in (0.025, 0.975)]
    assert [found.low, found.high] == pytest.approx([1 / (1 + max(0, one)) for one in ratio])
    assert found.low < found.share < found.high


@given(arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(2, 5)), elements=st.floats(0.01, 100)))
@settings(max_examples=200, deadline=None)
def test_parts_of_the_variance_are_never_negative_and_do_not_depend_on_the_unit(scores):
    found, other = seeds.components(scores), seeds.components(8 * scores)
    assert found.split >= 0 and found.seed >= 0
    assert (other.split, other.seed) == pytest.approx((64 * found.split, 64 * found.seed))
    if np.isfinite(found.share):
        assert 0 <= found.low <= found.high <= 1 and 0 <= found.share <= 1
        assert other.share == pytest.approx(found.share)


def test_networks_without_any_difference():
    same = seeds.components(np.ones((3, 2)))
    assert (same.split, same.seed) == (0, 0) and np.isnan(same.share)
    folds_alone = seeds.components(np.array([[1.0, 1.0], [3.0, 3.0]]))
    assert (folds_alone.split, folds_alone.seed, folds_alone.share) == (2, 0, 0)
    assert (folds_alone.low, folds_alone.high) == (0, 0)
    seed_alone = seeds.components(np.array([[1.0, 3.0], [3.0, 1.0]]))
    assert (seed_alone.split, seed_alone.seed, seed_alone.share) == (0, 2, 1)


def test_scores_are_pooled_over_rows():
    scores, n_test = np.array([[3.0, 6.0], [1.0, 2.0]]), np.array([10, 30])
    found = seeds.summary(scores, n_test)
    pooled = np.sqrt([(10 * 9 + 30 * 1) / 40, (10 * 36 + 30 * 4) / 40])
    assert found["each"] == pytest.approx(pooled) and found["mean"] == pytest.approx(pooled.mean())
    assert found["n"] == 2
    single = seeds.summary(scores[:1], n_test[:1])
    assert single["each"] == [3, 6] and single["sd_split"] is single["share"] is None
    scores[1, 1] = np.nan
    lost = seeds.summary(scores, n_test)
    assert lost.pop("n") == 2 and set(lost.values()) == {None}


CASES = {
    "classes": {},
    "numbers": {"task": "regression"},
    "two targets": {"task": "regression", "n_targets": 2},
    "path": {"selects": {"l2": "min"}, "strengths": (0.0, 0.01, 0.1)},
    "lost": {"lost": (1, 2)},
}


@pytest.mark.parametrize("case", CASES)
def test_the_summary_and_the_report_have_them(tmp_path, case):
    made = example_results.build(tmp_path, n=60, folds=3, repeats=2, seeds=4, **CASES[case])
    example_results.score(made)
    study = example_results.read(made)
    assert "seeds" not in study.models["l1"]
    result = study.models["l2"]["seeds"]
    said = sentences.seeds(study)
    if case == "lost":
        assert result["each"] is result["mean"] is result["share"] is None
        assert said == "Model l2: no score of single seeds, as predictions of a fold are not finite."
        return
    cells = [json.loads(path.read_text()) for path in made.input.cells if path.parts[-3] == "l2"]
    squares, weights = [], []
    deviation = metrics.deviations(study.oos["l2"].truth)
    for cell in cells:
        of_seeds = cell["path"]["of_seeds"][1] if case == "path" else cell["of_seeds"]
        if case == "two targets":
            own = [np.mean((np.array(one["rmse_of_targets"]) / deviation) ** 2) for one in of_seeds]
        else:
            own = [one["rmse"] ** 2 for one in of_seeds]
        squares.append(own)
        weights.append(cell["n_test"])
    assert result["each"] == pytest.approx(np.sqrt(np.average(squares, axis=0, weights=weights)))
    expected = seeds.components(np.sqrt(squares))
    assert result["sd_seed"] == pytest.approx(np.sqrt(expected.seed))
    assert result["share"] == pytest.approx(expected.share)
    assert said.startswith("Model l2 is the mean of 4 networks in each fold, ")
    assert f"the seed has {100 * result['share']:.0f} % of the variance" in said
    assert score_tables.seeds(study) is None, "a single model has the sentence"
    study.summary["models"]["l1"]["seeds"] = result
    first, second = score_tables.seeds(study).lines
    assert (first[0], second[0], first[3:]) == ("l1", "l2", second[3:])
    assert first[1] == "4" and first[3] == significant(result["mean"])
