"""Small resolved settings and a small prepared study for tests: everything but Snakemake."""

import json
from pathlib import Path

import numpy as np
from regfold import files
from regfold.config import headline
from regfold.config.resolve import resolve
from regfold.config.strengths import path_of, selects
from regfold.data import prepare
from regfold.data.write_text import write_csv
from regfold.provenance import cell_names, identity
from regfold.results import metrics, oos, paths, saved_model
from regfold.splits import split
from regfold.training import cell_files

NO_DEVICE = {"kind": "CPU", "name": "test"}


def model(network=None, training=None, penalty=None, target=("y",)) -> dict:
    """One model's resolved settings: the defaults of config.yaml, small and short, and what is given."""
    return resolve(
        {
            "data": {"path": "sklearn:iris", "target": list(target)},
            "network": {"hidden": [7, 5]} | (network or {}),
            "training": {"epochs": 20, "batch_size": 16, "learning_rate": 0.01} | (training or {}),
            "models": {"m": {"penalty": penalty or {}}},
        }
    )["models"]["m"]


def data_section(path="t.csv", **changes) -> dict:
    """A resolved data section, whether or not the file is there: defaults, target y, and what is given."""
    given = {"data": {"path": "sklearn:iris", "target": "y"}, "models": {"m": {}}}
    return resolve(given)["data"] | {"path": str(path)} | changes


class Study:
    """A table, prepared and split in the folder in which the test runs.

    Args:
        text: the table, as CSV.
        settings: keys of the config's sections data and split.
        models: the models' sections.
        baselines, metrics: the config's lists.
    """

    def __init__(
        self,
        text: str,
        data=None,
        split=None,
        models=None,
        network=None,
        training=None,
        baselines=(),
        metrics=(),
    ):
        Path("t.csv").write_text(text, encoding="utf-8", newline="")
        self.config = resolve(
            {
                "data": {"path": "t.csv", "target": "y"} | (data or {}),
                "split": split or {},
                "network": {"hidden": [5]} | (network or {}),
                "training": {"epochs": 3, "learning_rate": 0.01} | (training or {}),
                "baselines": list(baselines),
                "metrics": list(metrics),
                "models": models or {"m": {}},
            }
        )
        self.prepared, self.results = Path("results/prepared"), Path("results")
        self.made: dict[tuple[int, int, str], tuple[dict, dict]] = {}
        self.prepare()

    def prepare(self) -> None:
        """prepare_data and split_folds, once more after the table was changed."""
        column = self.config["split"]["column"]
        self.schema = prepare.prepare(self.config["data"], column, self.prepared)
        settings = {"split": self.config["split"], "missing": self.config["data"]["missing"]}
        for old in self.results.glob("folds/*.json"):
            old.unlink()
        decided = split.decide(settings, self.prepared)
        arrays = self.prepared / "assignment.npy", self.prepared / "codes.npy"
        split.write(decided, self.results / "folds.csv", *arrays, "results/folds")

    def cells(self) -> list[tuple[int, int]]:
        names = sorted(path.stem for path in self.results.glob("folds/*-*.json"))
        return [tuple(map(int, name.split("-"))) for name in names]

    def folder(self, repeat: int, fold: int, model: str = "m") -> Path:
        return self.results / "cells" / model / cell_names.name(repeat, fold)

    def description(self, repeat: int, fold: int) -> dict:
        return json.loads(Path(f"results/folds/{cell_names.name(repeat, fold)}.json").read_text())

    def features(self) -> np.ndarray:
        return np.load(self.prepared / "features.npy")

    @property
    def headline(self) -> list[str]:
        return headline.other_than_rmse(self.config["metrics"])

    def train(self, repeat: int = 1, fold: int = 1, model: str = "m", **more) -> dict:
        """One cell; the content of its cell.json."""
        settings = self.config["models"][model]
        specification = identity.specification(settings, self.headline)
        if (repeat, fold) == cell_names.REFIT:
            cells = [self.folder(*key, model) / "cell.json" for key in self.cells()]
            stopped = (
                [files.read_json(path) for path in cells] if settings["training"]["early_stopping"] else []
            )
            specification = identity.refit_specification(specification, stopped)
        from regfold.training import cell

        return cell.run(
            cell.Cell(
                model=model,
                repeat=repeat,
                fold=fold,
                specification=specification,
                split=self.config["split"],
                checkpoint_seconds=settings["training"]["checkpoint_seconds"],
                on_divergence=settings["training"]["on_divergence"],
                inner_metric=metrics.inner(self.headline[0]) if specification["headline"] else None,
            ),
            self.prepared,
            self.description(repeat, fold),
            Path(".regfold/state"),
            self.folder(repeat, fold, model),
            NO_DEVICE,
            **more,
        )

    def fit(self, repeat: int = 1, fold: int = 1, name: str = "baseline_linear") -> dict:
        """One cell of a baseline; the content of its cell.json."""
        from regfold.training import baseline

        return baseline.run(
            name,
            repeat,
            fold,
            identity.specifications(self.config)[name],
            self.config["split"],
            self.prepared,
            self.description(repeat, fold),
            self.folder(repeat, fold, name),
        )

    def rerun(self, model: str = "m") -> set[tuple[int, int]]:
        """Train or predict the cells whose description or specification changed since they were made.

        So do the rules: Snakemake compares the file of the description, and the parameter `spec`.
        """
        specification, ran = identity.specification(self.config["models"][model]), set()
        for key in self.cells():
            inputs = self.description(*key), specification
            if self.made.get((*key, model)) != inputs:
                self.train(*key, model)
                self.made[*key, model] = inputs
                ran.add(key)
        return ran

    def tested(self, repeat: int = 1, fold: int = 1) -> np.ndarray:
        """The rows that a fold tests, int64 (n_test,), in canonical order."""
        return np.flatnonzero(np.load(self.prepared / "assignment.npy")[repeat - 1] == fold)

    def predictions(self, repeat: int = 1, fold: int = 1, model: str = "m") -> tuple[np.ndarray, np.ndarray]:
        """The rows that a cell tested, and their predictions."""
        return self.tested(repeat, fold), oos.read_predictions(self.folder(repeat, fold, model))[1]

    def pretend(self, model: str = "m", seed: int = 0) -> None:
        """All cells of a model without training: predictions that differ from row to row, and small files.

        A path's strengths have predictions of their own; a nested choice takes the fold's number.
        """
        random, path = np.random.default_rng(seed), path_of(self.config["models"][model]["penalty"])
        shape = [len(path.strengths)] if path else []
        digests = np.load(self.prepared / "digests.npy")
        n_outputs = len(self.schema["classes"] or self.schema["target"])
        dtype = np.float32 if self.schema["classes"] else np.float64
        for repeat, fold in self.cells():
            folder, rows = self.folder(repeat, fold, model), self.tested(repeat, fold)
            folder.mkdir(parents=True, exist_ok=True)
            predicted = random.normal(size=(len(rows), *shape, n_outputs)).astype(dtype)
            np.savez(folder / "predictions.npz", digest=digests[rows], prediction=predicted)
            for name in ("model.keras", "history.csv"):
                (folder / name).write_text(f"{repeat} {fold}")
            recorded = {name: self.description(repeat, fold)[name] for name in identity.DIGESTS}
            recorded["files"] = cell_files.digests(folder)
            metadata = {"model": model, "repeat": repeat, "fold": fold, "digests": recorded}
            metadata |= {"n_train": 8, "n_test": len(rows), "epochs": 3, "flags": []}
            if path:
                metadata["path"] = self._pretended(path, fold, self.config["models"][model]["select"])
            (folder / "cell.json").write_text(json.dumps(metadata))

    @staticmethod
    def _pretended(path, fold: int, select: str) -> dict:
        """What cell.json says of a path; the stronger the penalty, the fewer weights."""
        n = len(path.strengths)
        return {
            "name": path.name,
            "strengths": path.strengths,
            "rmse_train": [fold + place / n for place in range(n)],
            "nonzero": [int(100 / (1 + strength)) for strength in path.strengths],
            "inputs": [None] * n,
            "epochs": [3 + place for place in range(n)],
            "chosen": fold % n if select == "nested" else None,
        }

    def save(self, model: str = "m") -> Path:
        """save_model."""
        settings, out = self.config["models"][model], self.results / "models" / model
        saved = {
            "missing": self.config["data"]["missing"],
            "method": self.config["split"]["method"],
            "coverage": self.config["predict"]["coverage"],
            "refit": settings["refit"],
            "build": settings["network"]["build"],
            "loss": settings["training"]["loss"],
            "select": selects(self.config).get(model),
        }
        saved_model.save(oos.read_prepared(self.prepared), model, saved, out, self.headline)
        return out

    def merge(self, model: str = "m") -> Path:
        """merge_predictions, or with a path merge_path."""
        path, prepared = self.results / "oos" / f"{model}.csv", oos.read_prepared(self.prepared)
        folders = [self.folder(*key, model) for key in self.cells()]
        if select := selects(self.config).get(model):
            cells = paths.read_cells(prepared, folders)
            choice = paths.choose(prepared, cells, select, self.headline)
            write_csv(paths.merge(prepared, cells, choice), path)
            predictions = paths.predictions(prepared, cells)
            paths.write_predictions(self.results / "oos_path" / f"{model}.parquet", predictions)
            paths.write_table(self.results / "path" / f"{model}.csv", choice.table)
        else:
            write_csv(oos.merge(prepared, oos.read_cells(prepared, folders)), path)
        return path
