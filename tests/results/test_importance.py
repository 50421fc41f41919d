"""Guards importance.csv: means over folds, how stable they are, and columns that say the same."""

import example_results
import numpy as np
import pandas as pd
import pytest
from regfold.data.write_text import write_frame
from regfold.results import importance, intervals, scores


def test_columns_are_correlated_by_any_of_their_inputs(tmp_path):
    random = np.random.default_rng(0)
    a, b, noise = random.normal(size=(3, 500))
    level = a > 0
    features = np.stack(
        [a, -a + 0.1 * b, b + 1e6, level, ~level, level * 2.0, noise, np.full(500, 3)], axis=1
    )
    features[::9, 0] = np.nan
    features[:, 6] = np.nan
    np.save(tmp_path / "x.npy", features.astype(np.float32))
    inputs = {"a": [0], "minus": [1], "b": [2], "level": [3, 4], "twice": [5], "empty": [6], "constant": [7]}
    found = importance.correlations(tmp_path / "x.npy", inputs)
    assert found == {"level": ["twice"], "twice": ["level"]} | {"a": ["minus"], "minus": ["a"]}


def test_blocks_change_nothing(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    base = random.normal(size=(300, 4))
    features = np.concatenate([base, base + 0.2 * random.normal(size=(300, 4)), base], axis=1)
    np.save(tmp_path / "x.npy", features.astype(np.float32))
    inputs = {f"x{i}": [i] for i in range(12)}
    whole = importance.correlations(tmp_path / "x.npy", inputs)
    correlation = np.abs(np.corrcoef(features.T)) > 0.9
    np.fill_diagonal(correlation, False)
    assert whole == {f"x{i}": [f"x{j}" for j in np.flatnonzero(correlation[i])] for i in range(12)}
    monkeypatch.setattr(importance, "BLOCK", 5)
    assert importance.correlations(tmp_path / "x.npy", inputs) == whole


def test_means_intervals_and_stability_over_folds(tmp_path):
    made = example_results.build(tmp_path, n=60, repeats=2)
    example_results.score(made)
    found = importance.read(made.output.importance)
    table = scores.read(made.output.scores).set_index(["model", "repeat", "fold"])
    assert found["model"].tolist() == ["l1"] * 4 + ["l2"] * 4
    for path in made.input.measured:
        measured = pd.read_csv(path)
        lines = found[found["model"] == path.stem]
        assert lines["importance"].is_monotonic_decreasing
        for line in lines.to_dict("records"):
            own = measured[measured["column"] == line["column"]]
            cells = table.loc[[(path.stem, r, f) for r, f in zip(own["repeat"], own["fold"], strict=True)]]
            values, n_test, n_train = own["importance"].to_numpy(), cells["n_test"], cells["n_train"]
            estimate = intervals.from_cells(values, n_test.to_numpy(), n_train.to_numpy())
            assert line["importance"] == pytest.approx(estimate.mean)
            assert line["high"] - line["low"] == pytest.approx(2 * estimate.half_width())
    assert (found["top_five"] == 1).all() and (found["correlated"] == "").all()


def test_top_five_is_the_share_of_cells(tmp_path):
    lines = [(1, fold, f"x{i}", 10.0 - i if fold < 4 else float(i)) for fold in range(1, 5) for i in range(8)]
    path = tmp_path / "m.csv"
    pd.DataFrame(lines, columns=["repeat", "fold", "column", "importance"]).to_csv(path, index=False)
    np.save(tmp_path / "x.npy", np.zeros((3, 8), np.float32))
    cells = pd.DataFrame(
        [{"model": "m", "repeat": 1, "fold": fold, "n_test": 10, "n_train": 30} for fold in range(1, 5)]
    )
    columns = [{"name": f"x{i}", "start": i, "width": 1, "date_of": None} for i in range(8)]
    for method, has_interval in (("kfold", True), ("time", False)):
        found = importance.table([path], cells, tmp_path / "x.npy", {"columns": columns}, method)
        shares = found.set_index("column")["top_five"]
        assert shares.to_dict() == {f"x{i}": 0.75 * (i < 5) + 0.25 * (i >= 3) for i in range(8)}
        assert found["low"].notna().all() == has_interval


def test_without_importance_there_are_no_lines(tmp_path):
    found = importance.table([], pd.DataFrame(), tmp_path / "none.npy", {"columns": []}, "kfold")
    write_frame(found, tmp_path / "importance.csv")
    assert importance.read(tmp_path / "importance.csv").columns.tolist() == importance.COLUMNS
