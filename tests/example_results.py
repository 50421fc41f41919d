"""A small, realistic results/ folder for tests of the scores and the report: no network is trained."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import score_predictions
from regfold import files
from regfold.data.write_text import write_csv
from regfold.results import oos as oos_files
from regfold.results import paths
from regfold.results import study as results_of_study
from snakemake.iocontainers import Log

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "{{7*7}} {% raw %} \u202egnirts \u2066",
    'it\'s "quoted", \\ and 😀 \x1b[2J\u200f',
]
STRENGTHS = (0.0, *np.geomspace(1e-6, 1e-1, 19).tolist())
PLAIN_CLASSES = ["Adelie", "Chinstrap", "Gentoo"]


def settings(penalty: dict) -> dict:
    return {
        "network": {"hidden": [50, 25], "activation": "relu", "build": None},
        "training": {
            "epochs": 300,
            "batch_size": 32,
            "optimizer": {"name": "adam"},
            "learning_rate": 0.001,
            "schedule": {"name": "constant"},
            "loss": "auto",
            "class_weight": None,
            "early_stopping": None,
            "seed": 42,
            "seeds": 1,
            "checkpoint_seconds": 30,
            "on_divergence": "warn",
        },
        "penalty": {
            "kernel": {"l1": 0.0, "l2": 0.0},
            "bias": {"l1": 0.0, "l2": 0.0},
            "activity": {"l1": 0.0, "l2": 0.0},
            "dropout": 0.0,
            "weight_decay": 0.0,
        }
        | penalty,
    }


def build(
    folder: Path,
    task: str = "classification",
    n: int = 344,
    n_targets: int = 1,
    n_classes: int = 3,
    folds: int = 5,
    repeats: int = 1,
    models: tuple[str, ...] = ("l1", "l2"),
    hostile: bool = False,
    diverged: tuple[int, int] | None = None,
    lost: tuple[int, int] | None = None,
    identical: int = 1,
    selects: Mapping[str, str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    by: tuple[str, ...] = (),
    metrics: tuple[str, ...] = (),
    seeds: int = 1,
) -> SimpleNamespace:
    """Writes all that `score_predictions` and `render_report` read, and returns their snakemake object.

    Args:
        selects: the models with a path of kernel L2 strengths, and how one is chosen.
        strengths: of their paths; the middle one is best.
        diverged: (repeat, fold) of the last model's cell whose predictions are out by orders of magnitude.
        lost: (repeat, fold) of the last model's cell whose predictions are not finite.
        identical: how many rows have the first row's content.
        by: columns of `report.by`: the table's first has numbers, the fourth three levels, one missing.
        metrics: the config's list.
        seeds: of the last model; each scores as its cell does, give or take 5 %.
    """
    random = np.random.default_rng(seed)
    names = HOSTILE if hostile else ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "island"]
    if task == "classification":
        target = ["<b>species</b> {{1+1}}" if hostile else "species"]
        classes = _names(HOSTILE if hostile else PLAIN_CLASSES, n_classes)
    else:
        target = _names(HOSTILE[::-1] if hostile else ["body_mass_g", "wing_mm"], n_targets)
        classes = None
    schema = {
        "path": "data/<i>t</i>.csv" if hostile else "data/penguins.csv",
        "n_read": n + 2,
        "n_rows": n,
        "n_dropped": 2,
        "task": task,
        "task_reason": "the target holds text: classification"
        if classes
        else "the target holds numbers: regression",
        "target": target,
        "classes": classes,
        "id": None,
        "weight": None,
        "columns": [
            {
                "name": names[i],
                "kind": "numeric",
                "start": i,
                "width": 1,
                "levels": None,
                "n_missing": 2 - i // 2,
                "date_of": None,
            }
            for i in range(3)
        ]
        + [
            {
                "name": names[3],
                "kind": "categorical",
                "start": 3,
                "width": 3,
                "levels": ["Biscoe", HOSTILE[0] if hostile else "Dream", None],
                "n_missing": 1,
                "date_of": None,
            }
        ],
        "table_columns": [*names, *target],
        "left_out": {"<u>note</u>" if hostile else "rowid": "excluded by data.exclude"},
        "width": 6,
        "notes": ["2 rows have no target and were dropped (data.missing_target: drop)"],
    }
    prepared = folder / "results" / "prepared" / "schema.json"
    prepared.parent.mkdir(parents=True)
    files.write_json(prepared, schema)
    truth, scale = _truth(random, task, n, n_classes if classes else n_targets)
    # A single fold tests half of the rows, and the others are never tested: it has to train on some.
    fold_of = [random.permutation(np.arange(n) % max(folds, 2)) + 1 for _ in range(repeats)]
    fold_of = [np.where(fold > folds, 0, fold) for fold in fold_of]
    np.save(prepared.with_name("target.npy"), truth.argmax(axis=1) if classes else truth)
    np.save(prepared.with_name("weights.npy"), np.empty(0))
    np.save(prepared.with_name("assignment.npy"), np.array(fold_of, np.int32))
    np.save(prepared.with_name("codes.npy"), np.zeros(n, np.int32))
    content = np.maximum(np.arange(n), identical - 1).astype(">u8")
    np.save(prepared.with_name("digests.npy"), content.repeat(2).view(np.uint8).reshape(n, 16))
    of_columns = np.random.default_rng(seed)
    np.save(prepared.with_name("features.npy"), of_columns.normal(size=(n, 6)).astype(np.float32))
    cells, histories, networks, oos, measured, selects = [], [], [], [], [], selects or {}
    for place, model in enumerate(models):
        path = folder / "results" / "oos" / f"{model}.csv"
        path.parent.mkdir(exist_ok=True)
        all_predictions = []
        for repeat in range(1, repeats + 1):
            made = _predict(random, task, truth, scale * (0.4 + 0.1 * place))
            for fold in range(1, folds + 1):
                rows = fold_of[repeat - 1] == fold
                is_last = model == models[-1]
                bad = is_last and (repeat, fold) in (diverged, lost)
                if bad and (repeat, fold) == lost:
                    made[rows] = np.nan
                elif bad:
                    made[rows] *= 4000 if task == "regression" else 1
                    if task == "classification":
                        made[rows] = np.eye(len(classes))[random.integers(len(classes), size=rows.sum())]
                cell = _cell(random, model, repeat, fold, n, int(rows.sum()), place, bad)
                if is_last and seeds > 1:
                    cell["of_seeds"] = _of_seeds(of_columns, seeds, made[rows] - truth[rows], len(target))
                where = folder / "results" / "cells" / model / f"{repeat}-{fold}"
                where.mkdir(parents=True)
                files.write_json(where / "cell.json", cell)
                _history(random, where / "history.csv", cell["epochs"], task, bad)
                cells.append(where / "cell.json")
                histories.append(where / "history.csv")
                _network(random, where / "model.keras", truth.shape[1], place)
                networks.append(where / "model.keras")
            all_predictions.append(made)
        if model in selects:
            given = strengths, truth, all_predictions, metrics
            _path(random, folder / "results", model, selects[model], *given)
        else:
            _oos(path, schema, truth, all_predictions, fold_of)
        oos.append(path)
        measured.append(folder / "results" / "importance" / f"{model}.csv")
        _importance(of_columns, measured[-1], names, folds, repeats)
    results = folder / "results"
    return SimpleNamespace(
        input=SimpleNamespace(
            oos=oos,
            cells=cells,
            histories=histories,
            networks=networks,
            schema=prepared,
            scores=results / "scores.csv",
            summary=results / "summary.json",
            rows=results / "rows.csv",
            scores_by=results / "scores_by.csv",
            paths=[results / "path" / f"{model}.csv" for model in selects],
            path_predictions=[results / "oos_path" / f"{model}.parquet" for model in selects],
            features=prepared.with_name("features.npy"),
            measured=measured,
            importance=results / "importance.csv",
        ),
        output=SimpleNamespace(
            scores=results / "scores.csv",
            summary=results / "summary.json",
            comparison=results / "comparison.csv",
            rows=results / "rows.csv",
            scores_by=results / "scores_by.csv",
            importance=results / "importance.csv",
            report=results / "report.html",
            figures=results / "figures",
        ),
        params=SimpleNamespace(
            models=list(models),
            selects=selects,
            split={
                "method": "kfold",
                "folds": folds,
                "repeats": repeats,
                "seed": 42,
                "column": None,
                "file": None,
                "gap": 0,
            },
            compare={"rope": 0.01},
            coverage=0.9,
            metrics=list(metrics),
            by={"columns": list(by), "missing": [""]},
        ),
        log=Log(fromdict={"log": str(folder / "logs/job.log"), "usage": str(folder / "benchmarks/job.tsv")}),
    )


def score(study: SimpleNamespace) -> None:
    """What the rule score_predictions does."""
    score_predictions.main(study)


def read(study: SimpleNamespace) -> results_of_study.Study:
    """What the rule render_report reads."""
    not_read = "features", "measured", "path_predictions"
    inputs = {name: value for name, value in vars(study.input).items() if name not in not_read}
    return results_of_study.read(models=study.params.models, split=study.params.split, **inputs)


def _names(names, number):
    return names[:number] + [f"number {i + 1}" for i in range(len(names), number)]


def _truth(random, task, n, n_outputs):
    if task == "classification":
        shares = [0.44, 0.2, 0.36] if n_outputs == 3 else np.full(n_outputs, 1 / n_outputs)
        return np.eye(n_outputs)[random.choice(n_outputs, size=n, p=shares)], 1.0
    return random.normal(4200, 800, size=(n, n_outputs)) * 10.0 ** -np.arange(n_outputs), 800.0


def _predict(random, task, truth, noise):
    if task == "regression":
        return truth + random.normal(size=truth.shape) * noise * 10.0 ** -np.arange(truth.shape[1])
    raw = np.exp((truth * 4 + random.normal(size=truth.shape) * noise * 3).astype(float))
    return raw / raw.sum(axis=1, keepdims=True)


def _cell(random, model, repeat, fold, n, n_test, place, bad):
    measured = {
        f"{what}_{norm}": float(v)
        for what, v in (("kernel", 200), ("bias", 3), ("activity", 30))
        for norm in ("l1", "l2")
        for v in [v * (0.2 if norm == "l2" else 1) * (1 + place) * random.uniform(0.8, 1.2)]
    }
    return {
        "model": model,
        "repeat": repeat,
        "fold": fold,
        "fold_name": str(fold),
        "n_train": n - n_test,
        "n_test": n_test,
        "epochs": 300,
        "best_epoch": 300,
        "trained_epochs": 300,
        "resumed_from": 0,
        "digests": {
            "state": "ab" * 16,
            "train": "cd" * 16,
            "test": "ef" * 16,
            "layout": "01" * 16,
            "code": "23" * 16,
            "build": None,
            "files": {"model.keras": "45" * 16},
        },
        "settings": settings(
            {"activity": {"l1": 1e-4, "l2": 0.0}} if place == 0 else {"kernel": {"l1": 0.0, "l2": 1e-3}}
        ),
        "seeds": {"training": 42},
        "versions": {
            "regfold": "0.1.0",
            "keras": "3.15.1",
            "tensorflow": "2.21.0",
            "numpy": "2.4.6",
            "python": "3.11.7",
        },
        "device": {"kind": "CPU", "name": "x86_64, 2 cores"},
        "times": {
            "started": "2025-01-01T10:00:00+00:00",
            "finished": "2025-01-01T10:00:08+00:00",
            "seconds_training": 2.1,
            "seconds_total": 8.4,
        },
        "flags": ["diverged: the loss is not finite from epoch 212"] if bad else [],
        "preprocessing": {
            "imputed": {"bill_length_mm": 2} if fold > 1 else {},
            "constant": [],
            "unseen": {"island": ["Torgersen"]} if fold == 2 else {},
        },
        "penalties": measured,
        "activations": {}
        if place
        else {"hidden_1": {"zeros": 0.4, "quantiles": (-np.log((np.arange(50) + 0.5) / 50)).tolist()}},
        "activity_note": "per row: Keras divides by the batch size since 3.14.0",
    }


def _of_seeds(random, seeds, errors, n_targets):
    found = []
    for _ in range(seeds):
        mse = np.square(errors).mean(axis=0) * random.normal(1.1, 0.05) ** 2
        lost = not np.isfinite(mse).all()
        rmse = None if lost else float(np.sqrt(mse.mean()))
        one = {"seed": int(random.integers(1000)), "epochs": 300, "best_epoch": 300, "rmse": rmse}
        if n_targets > 1:
            one["rmse_of_targets"] = [None] * n_targets if lost else np.sqrt(mse).tolist()
        found.append(one)
    return found


def _network(random, path, n_outputs, place, n_strengths=None):
    """A model.keras of which kernels alone can be read: of the first model Laplace ones, else Gaussian."""
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        shapes = {"dense": (6, 50), "dense_1": (50, 25), "dense_2": (25, n_outputs)}
        for (group, shape), layer in zip(shapes.items(), ("hidden_1", "hidden_2", "output"), strict=True):
            draw = random.normal if place else random.laplace
            variables = file.create_group(f"layers/functional/layers/{group}/vars")
            variables.attrs["name"] = layer
            size = shape if n_strengths is None else (shape[0], n_strengths, shape[1])
            variables["0"] = draw(scale=0.1, size=size).astype(np.float32)
            variables["1"] = np.zeros(size[1:], np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", stored.getvalue())


def _path(random, results, model, select, strengths, truth, all_predictions, named):
    """Turns a model's cells into cells of a path, and merges them as the rule merge_path does."""
    prepared = prepared_in_memory(results / "prepared")
    far = np.abs(np.arange(len(strengths)) - (len(strengths) - 1) / 2) / len(strengths)
    cells = {}
    for folder in sorted((results / "cells" / model).iterdir()):
        metadata = files.read_json(folder / "cell.json")
        repeat, fold = metadata["repeat"], metadata["fold"]
        rows = np.flatnonzero(prepared.assignment[repeat - 1] == fold)
        # The further from the middle, the more of another row's prediction.
        best, other = (all_predictions[repeat - 1][r] for r in (rows, random.permutation(rows)))
        predicted = np.stack([(1 - f) * best + f * other for f in far.tolist()], axis=1)
        kept = np.linspace(1, 0, len(strengths))
        metadata["path"] = {
            "name": "kernel.l2",
            "strengths": list(strengths),
            "rmse_train": (_error(truth) * (0.9 - 0.6 * kept)).tolist(),
            "nonzero": (1600 * kept).astype(int).tolist(),
            "inputs": np.ceil(4 * kept).astype(int).tolist(),
            **({"of_seeds": [metadata.pop("of_seeds")] * len(strengths)} if "of_seeds" in metadata else {}),
            "epochs": [metadata["epochs"] - place for place in range(len(strengths))],
            "best_epoch": [metadata["best_epoch"] - place for place in range(len(strengths))],
            "ending": [""] * len(strengths),
            "flags": [metadata["flags"]] * len(strengths),
            "penalties": [metadata["penalties"]] * len(strengths),
            "activations": [metadata["activations"]] * len(strengths),
            "chosen": int(random.integers(len(strengths))) if select == "nested" else None,
            "inner_rmse": None,
        }
        _network(random, folder / "model.keras", truth.shape[1], 1, len(strengths))
        metadata |= {"flags": [], "ending": ""}
        del metadata["penalties"], metadata["activations"]
        metadata["settings"]["penalty"]["kernel"]["l2"] = list(strengths)
        files.write_json(folder / "cell.json", metadata)
        history = pd.read_csv(folder / "history.csv")
        each = [history.assign(strength=strength)[["strength", *history]] for strength in strengths]
        pd.concat(each).to_csv(folder / "history.csv", index=False)
        cells[repeat, fold] = paths.cell(metadata, prepared.digests[rows], predicted)
    choice = paths.choose(prepared, cells, select, named)
    write_csv(paths.merge(prepared, cells, choice), results / "oos" / f"{model}.csv")
    paths.write_predictions(results / "oos_path" / f"{model}.parquet", paths.predictions(prepared, cells))
    paths.write_table(results / "path" / f"{model}.csv", choice.table)


def _error(truth):
    """The RMSE of a constant prediction."""
    return float(np.sqrt(np.mean(truth.var(axis=0))))


def prepared_in_memory(folder):
    """The prepared table of `build`, whose cells of features are all the same."""
    schema, target = files.read_json(folder / "schema.json"), np.load(folder / "target.npy")
    n = len(target)
    return oos_files.Prepared(
        folder=folder,
        schema=schema,
        table=pa.table({name: ["x"] * n for name in schema["table_columns"]}),
        names=pa.array(map(str, range(n))),
        position=np.arange(n),
        digests=np.load(folder / "digests.npy"),
        target=target,
        assignment=np.load(folder / "assignment.npy"),
    )


def _history(random, path, epochs, task, bad):
    header = ["epoch", "train_loss", "train_objective", "validation_loss", "heldout_loss", "heldout_rmse"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "learning_rate"])
        for epoch in range(1, epochs + 1):
            loss = 1.1 * np.exp(-epoch / 40) + 0.02 * np.exp(random.normal() * 0.2)
            heldout = 1.15 * np.exp(-epoch / 38) + 0.06 * np.exp(random.normal() * 0.05) + epoch * 5e-5
            if bad and epoch > 180:
                loss = heldout = float("nan") if epoch >= 212 else loss * np.exp((epoch - 180) / 3)
            shown = epoch % 5 == 0 or epoch == 1
            writer.writerow(
                [epoch, loss, loss + 0.03, "", heldout if shown else "", heldout**0.5 if shown else "", 0.001]
            )


def _importance(random, path, columns, folds, repeats):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["repeat", "fold", "column", "importance"])
        for repeat in range(1, repeats + 1):
            for fold in range(1, folds + 1):
                for place, column in enumerate(columns):
                    writer.writerow([repeat, fold, column, 0.1 / (1 + place) + random.normal() * 0.01])


def _oos(path, schema, truth, all_predictions, fold_of):
    single = schema["task"] == "regression" and len(schema["target"]) == 1
    outputs = schema["classes"] or schema["target"]
    header = [*schema["table_columns"], "oos_row", "oos_repeat", "oos_fold"]
    header += ["oos_label"] if schema["classes"] else []
    header += (
        ["oos_y", "oos_pred"] if single else [f"oos_{what}_{o}" for what in ("y", "pred") for o in outputs]
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for repeat, made in enumerate(all_predictions):
            for i in np.flatnonzero(fold_of[repeat]):
                level = "" if i % 20 == 0 else ("Biscoe", "Dream")[i % 2]
                own = [str(i / 2), "two\nlines", "", level, *["x"] * (len(schema["table_columns"]) - 4)]
                line = [*own, str(i), repeat + 1, fold_of[repeat][i]]
                line += [schema["classes"][made[i].argmax()]] if schema["classes"] else []
                writer.writerow([*line, *truth[i].tolist(), *np.float32(made[i]).tolist()])
