"""Guards the headline: the first metric chooses, ranks and compares, the right way round, and is reported."""

import json
import math
from pathlib import Path

import baycomp
import example_results
import numpy as np
import pandas as pd
import pytest
from regfold.config.resolve import resolve
from regfold.errors import RegfoldError
from regfold.formatting import significant
from regfold.provenance import identity
from regfold.report import figures, sentences
from regfold.report.tables import scores as score_tables
from regfold.results import choice, comparison, intervals, metrics
from regfold.workflow import terminal
from scipy import stats
from sklearn.metrics import roc_auc_score

SELECTS = {"l1": "min", "l2": "one_se"}
OWN = """
import numpy as np

def largest(truth, prediction):
    return np.abs(prediction - truth).max()

def worst_recall(truth, prediction):
    right = truth.argmax(axis=1) == prediction.argmax(axis=1)
    return min(right[truth[:, k] == 1].mean() if truth[:, k].any() else 1 for k in range(truth.shape[1]))

worst_recall.higher_is_better = True
"""
HEADLINES = {
    "regression": ["mae", "r2", "own.py:largest"],
    "classification": [
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "brier",
        "roc_auc",
        "own.py:worst_recall",
    ],
}
CASES = [(task, named) for task, all_named in HEADLINES.items() for named in all_named]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)


def metric_of(task: str, named: str) -> metrics.Metric:
    return metrics.ranking(metrics.reported(task, 1, [named]))


def scored(task: str, named: str, n: int = 90, **more):
    """A study whose headline is this metric, with what score_predictions wrote."""
    study = example_results.build(Path.cwd(), task=task, n=n, metrics=(named,), **more)
    example_results.score(study)
    return study, json.loads(Path("results/summary.json").read_text())


@pytest.mark.parametrize(("task", "named"), CASES)
def test_the_first_metric_chooses_on_a_path(task, named):
    study, summary = scored(task, named, selects=SELECTS, strengths=(0.0, 1e-3, 1e-2, 0.1))
    metric, found = metric_of(task, named), example_results.read(study)
    name, sign = metric.name, -1 if metric.greater_is_better else 1
    assert summary["ranked_by"] == name
    for model, select in SELECTS.items():
        every, table = pd.read_parquet(f"results/oos_path/{model}.parquet"), found.paths[model]
        fixed = "strength,rmse,rmse_fold_mean,rmse_fold_se,rmse_train,nonzero,inputs,is_min,is_one_se"
        assert list(table) == [*fixed.split(","), name, f"{name}_fold_mean", f"{name}_fold_se"]
        n_outputs = found.oos[model].truth.shape[1]
        score, by_cell = [], []
        for _, lines in every.groupby("strength"):
            truth, predicted = np.split(lines.iloc[:, 4:].to_numpy(np.float64), [n_outputs], axis=1)
            of_cells = [lines["fold"].to_numpy() == fold for fold in range(1, 6)]
            score.append(metrics.score([metric], truth, predicted)[name])
            parts = [(truth[rows], predicted[rows]) for rows in of_cells]
            by_cell.append([metrics.score([metric], *part)[name] for part in parts])
        mean, se = np.mean(by_cell, axis=1), np.std(by_cell, axis=1, ddof=1) / math.sqrt(5)
        assert table[name].to_numpy() == pytest.approx(score)
        assert table[f"{name}_fold_mean"].to_numpy() == pytest.approx(mean)
        assert table[f"{name}_fold_se"].to_numpy() == pytest.approx(se)
        best = max(np.flatnonzero(np.isclose(sign * np.array(score), min(sign * np.array(score)))))
        within = np.flatnonzero(sign * mean <= sign * mean[best] + se[best] + 1e-12)
        assert table.index[table["is_min"]].tolist() == [best]
        assert table.index[table["is_one_se"]].tolist() == [max(within)]
        result = summary["models"][model]
        assert result["chosen_strength"] == table["strength"][best if select == "min" else max(within)]
        assert result[f"{name}_naive"] == pytest.approx(result[name])
        corrected, how = result[f"{name}_corrected"], "BBC-CV over 90 rows; Tsamardinos et al., 2018"
        if metric.row_loss is None and select == "min":
            how = "BBC-CV over 90 rows, 200 bags; Tsamardinos et al., 2018"
        elif metric.row_loss is None:
            corrected, how = result[name], f"BBC-CV would have to compute the {metric.label} too often"
            assert (result[f"{name}_corrected"], result[f"{name}_low"]) == (None, None)
        if result[f"{name}_low"] is not None:
            assert result[f"{name}_low"] <= corrected <= result[f"{name}_high"]
        assert result["interval"] == how
        assert (result["rmse_low"], result.get("rmse_corrected")) == (None, None)
        if select == "min":
            best_of = by_cell[best] - sign * np.min(sign * np.array(by_cell), axis=0)
            assert result[f"{name}_tt"] == pytest.approx(result[name] + np.mean(best_of))
        in_words = "highest" if metric.greater_is_better else "lowest"
        closing = terminal.closing_lines("results")
        assert (
            f"  Final, out of sample score ({metric.label}): {significant(corrected)} ({model})\n" in closing
        )
        assert f"the {in_words} score" in closing


@pytest.mark.parametrize(("task", "named"), CASES)
def test_the_first_metric_ranks_and_compares(task, named):
    study, summary = scored(task, named, by=("island",), models=("a", "b", "c"))
    metric, found = metric_of(task, named), example_results.read(study)
    name, sign = metric.name, -1 if metric.greater_is_better else 1
    scores = {model: result[name] for model, result in summary["models"].items()}
    assert sign * scores[found.best] == min(sign * score for score in scores.values())
    lines = pd.read_csv("results/comparison.csv")
    numbers = ("a", "b", "difference", "low", "high", "p_value", "p_a_better", "p_equivalent", "p_b_better")
    assert list(lines) == [*comparison.COLUMNS, *(f"{name}_{number}" for number in numbers)]
    cells = found.scores.set_index("model")
    for line in lines.to_dict("records"):
        own = [cells.loc[line[f"model_{which}"]] for which in "ab"]
        a, b = (cell[name].to_numpy() for cell in own)
        assert line["rmse_a"] == pytest.approx(summary["models"][line["model_a"]]["rmse"])
        difference = np.average(a - b, weights=own[0]["n_test"])
        assert line[f"{name}_difference"] == pytest.approx(difference)
        assert line[f"{name}_low"] <= difference <= line[f"{name}_high"]
        # Folds of one size: baycomp has no weights.
        rope = summary["rope"] * abs(line[f"{name}_a"] + line[f"{name}_b"]) / 2
        first, second = (a, b) if metric.greater_is_better else (b, a)
        expected = baycomp.CorrelatedTTest(first, second, rope).probs()
        shares = [line[f"{name}_p_{what}"] for what in ("a_better", "equivalent", "b_better")]
        assert shares == pytest.approx(expected, abs=1e-6)
    worse = [line["difference"] for line in found.against_best()]
    if metric.row_loss:  # of others the mean of the folds is compared, which may be in another order
        assert all(difference >= 0 for difference in worse)
    text = json.dumps([sentences.headline(found), score_tables.comparison(found).head], ensure_ascii=False)
    assert f'"metric": "{metric.label}"' in text and f"{metric.label} {found.ranking.worse} by" in text
    assert f"The {found.ranking.best} of 3 models" in text
    assert f"Fold score ({metric.label})" in terminal.closing_lines("results")
    drawn = {figure.name: figure for figure in figures.of_study(found)}
    assert drawn["by-1"].title == f"{metric.label} by island"
    sense = "Higher" if metric.greater_is_better else "Lower"
    assert f"{sense} is better." in drawn["folds"].caption
    assert f"Out-of-sample {metric.label} {significant(scores[found.best])}" in sentences.citation(found)


@pytest.mark.parametrize("named", [(), ("rmse",)])
def test_without_another_headline_there_is_nothing_new(named):
    study = example_results.build(Path.cwd(), n=60, metrics=named, by=("island",))
    example_results.score(study)
    assert tuple(pd.read_csv("results/comparison.csv")) == comparison.COLUMNS
    result = json.loads(Path("results/summary.json").read_text())["models"]["l1"]
    assert {name for name in result if name.endswith(("_low", "_of_constant"))} == {
        "rmse_low",
        "rmse_of_constant",
    }


@pytest.mark.parametrize("named", ["mae", "accuracy"])
def test_a_mean_over_rows_is_chosen_and_corrected_as_any_function(named):
    """The loop over bags that other metrics have, and the matrix product of means, are one method."""
    task = "regression" if named == "mae" else "classification"
    metric, random = metric_of(task, named), np.random.default_rng(0)
    noise = random.normal(size=(80, 4, 2)) * np.array([1.0, 0.8, 0.5, 0.9])[:, None]
    truth = np.eye(2)[random.integers(2, size=80)]
    predicted = truth[:, None] * 0.5 + noise
    losses = np.stack([metrics.row_losses(metric, truth, predicted[:, s]) for s in range(4)], axis=1)

    def values(rows, places=range(4)):
        return np.array([metric.function(truth[rows], predicted[rows, place]) for place in places])

    cells, units, strengths = np.arange(80) % 5, np.arange(80), np.arange(4.0)
    ours = choice.path_scores(losses, cells, strengths, 5, metric)
    by_function = choice.function_scores(values, cells, strengths, 5, metric)
    assert list(ours) == list(by_function)
    for name in ours:
        assert ours[name] == pytest.approx(by_function[name])
    of_losses = choice.bootstrap_bias_corrected(losses, units, cells, strengths, 5, "min", 3, 60, metric)
    of_function = choice.function_bias_corrected(values, units, strengths, 3, 60, metric)
    assert vars(of_function) == pytest.approx(vars(of_losses))
    assert choice.function_tibshirani_corrected(values, cells, 2, metric) == pytest.approx(
        choice.tibshirani_corrected(losses, cells, 2, metric)
    )


def test_a_choice_by_auc_among_equals_is_optimistic_and_corrected():
    """40 tables on which no strength is better than chance: 0.5 is the truth, the best of 12 is above it."""
    metric, naive, corrected = metric_of("classification", "roc_auc"), [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        truth, share = random.integers(2, size=60), random.random((60, 12))

        def values(rows, places=range(12), truth=truth, share=share):
            own = truth[rows]
            return np.array([_auc(own, share[rows, place]) for place in places])

        naive.append(values(np.arange(60)).max())
        rule = np.arange(60), np.arange(12.0), seed, 40, metric
        corrected.append(choice.function_bias_corrected(values, *rule).score)
    assert np.mean(naive) > 0.6
    assert abs(np.mean(corrected) - 0.5) < 0.02


def _auc(truth, share):
    ranks = stats.rankdata(share)[truth == 1]
    n = len(ranks)
    return (ranks.sum() - n * (n + 1) / 2) / (n * (len(truth) - n)) if 0 < n < len(truth) else math.nan


def test_bbc_cv_of_a_function_is_left_out_where_it_would_take_too_long():
    assert choice.bags_of_function(1_000, 20, "min") == 200
    assert choice.bags_of_function(1_000, 20, "one_se") == 0
    assert choice.bags_of_function(100_000, 20, "min") == choice.bags_of_function(1_000, 100, "min") == 0


def test_a_fold_without_a_value_leaves_no_interval_and_the_rule_takes_the_best():
    metric = metric_of("classification", "roc_auc")
    sizes = np.full(5, 10), np.full(5, 40)
    found = intervals.of_folds(metric, np.array([0.8, 0.7, math.nan, 0.9, 0.8]), *sizes, "kfold")
    assert (found.low, found.method) == (None, "the ROC AUC of a fold is undefined")
    assert intervals.of_folds(metric, np.array([0.8]), *sizes, "file").method == "one fold shows no spread"
    same = intervals.of_folds(metric, np.full(5, 0.9), *sizes, "kfold")
    assert same.method == "the ROC AUC of all folds is the same, which shows no spread"

    def values(rows, places=range(3)):
        return np.full(3, math.nan) if len(rows) == 2 else np.array([0.6, 0.9, 0.7])

    scores = choice.function_scores(values, np.array([0, 0, 1, 1]), np.arange(3.0), 2, metric)
    assert scores["is_one_se"].tolist() == scores["is_min"].tolist() == [False, True, False]


@pytest.mark.parametrize("metric", ["roc_auc", "balanced_accuracy", "r2"])
def test_intervals_of_fold_means_stay_within_the_metrics_limits(metric):
    task = "regression" if metric == "r2" else "classification"
    random, metric = np.random.default_rng(0), metric_of(task, metric)
    for _ in range(100):
        values = 1 - random.random(5) * random.random()
        found = intervals.of_folds(metric, values, np.full(5, 10), np.full(5, 40), "kfold")
        assert metric.limits[0] <= found.low <= values.mean() <= found.high <= 1


def test_the_interval_of_fold_means_covers():
    """400 tables, the AUC of a score that is known: 5 folds of 40 rows, whose mean is nearly the true one."""
    metric, random, true = metric_of("classification", "roc_auc"), np.random.default_rng(0), stats.norm.cdf(1)
    hits = []
    for _ in range(400):
        truth = random.integers(2, size=(5, 40))
        score = random.normal(size=(5, 40)) + truth * math.sqrt(2)
        values = np.array([_auc(*fold) for fold in zip(truth, score, strict=True)])
        found = intervals.of_folds(metric, values, np.full(5, 40), np.full(5, 160), "kfold")
        hits.append(found.low <= true <= found.high)
    assert np.mean(hits) >= 0.93
    assert metric.function(np.eye(2)[truth[0]], np.stack([-score[0], score[0]], axis=1)) == pytest.approx(
        roc_auc_score(truth[0], score[0])
    )


def test_of_two_equally_good_models_none_is_better_by_mae():
    """1,000 tables of errors that are alike in distribution and correlate: the test rejects in about 5 %."""
    metric, random = metric_of("regression", "mae"), np.random.default_rng(0)
    shared = random.normal(size=(1_000, 5, 20))
    a, b = (np.abs(shared + random.normal(size=shared.shape)).mean(axis=2) for _ in range(2))
    sizes = np.full(5, 20), np.full(5, 80)
    found = [comparison.compare(*pair, *sizes, 5, 0.01, metric) for pair in zip(a, b, strict=True)]
    assert np.mean([one.p_value() < 0.05 for one in found]) <= 0.07
    assert found[0].difference == pytest.approx(a[0].mean() - b[0].mean())


def test_by_level_a_mean_over_rows_has_an_interval_and_others_have_none():
    for task, named in (("regression", "mae"), ("classification", "roc_auc")):
        study = example_results.build(Path(named), task=task, n=150, metrics=(named,), by=("island",))
        example_results.score(study)
        by, found = pd.read_csv(f"{named}/results/scores_by.csv"), example_results.read(study)
        drawn = {figure.name: figure.caption for figure in figures.of_study(found)}
        assert by[["rmse", "rmse_low", "rmse_high", named]].notna().all(axis=None)
        if named == "mae":
            assert (by["mae_low"] < by["mae"]).all() and (by["mae"] < by["mae_high"]).all()
        else:
            assert by["roc_auc_low"].isna().all()
        assert ("95 % intervals" in drawn["by-1"]) == (named == "mae")
        assert ("pooled scores" in drawn["comparison"]) == (named == "mae")
        best = by[(by["model"] == found.best) & ~by["small"]].sort_values(named)
        worst = best["level"].iloc[-1 if named == "mae" else 0]
        assert f"is worst for {worst} " in sentences.worst_levels(found)[0]


def test_a_nested_choice_by_a_function_of_the_users_own_is_refused():
    given = {
        "data": {"path": "sklearn:iris", "target": "target"},
        "metrics": ["own.py:worst_recall"],
        "models": {"l2": {"penalty": {"kernel": {"l2": [0.0, 0.1]}}, "select": "nested"}},
    }
    with pytest.raises(RegfoldError) as error:
        resolve(given)
    assert str(error.value) == (
        "config.yaml: metrics: 'own.py:worst_recall' stands first, but models.l2.select is nested, where it "
        "would have to choose inside the training; expected a known metric first, or select: min or one_se"
    )
    resolve(given | {"metrics": ["accuracy", "own.py:worst_recall"]})


def test_a_headline_is_part_of_what_trains_where_it_chooses_there_alone():
    given = {"data": {"path": "sklearn:iris", "target": "target"}}
    plain = {"penalty": {"kernel": {"l2": [0.0, 0.1]}}}
    given["models"] = {"plain": plain, "nested": plain | {"select": "nested"}}
    without, by_rmse, by_accuracy = (
        identity.specifications(resolve(given | {"metrics": named}))
        for named in ([], ["rmse", "accuracy"], ["accuracy"])
    )
    assert without == by_rmse
    changed = {name for name in without if without[name] != by_accuracy[name]}
    assert changed == {"nested"}
    description = dict.fromkeys(["repeat", "fold", "train", "encoding", "validation"], 1)
    for inner in (0, 1):
        digests = {
            identity.state_digest(spec["nested"], description, inner) for spec in (without, by_accuracy)
        }
        assert len(digests) == 1, "what is trained is the same"
