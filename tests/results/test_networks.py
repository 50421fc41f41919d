"""Guards the networks of cells as they are loaded: each predicts its held-out rows as the cell did."""

import numpy as np
import pytest
from regfold.errors import RegfoldError
from regfold.results import networks
from small_study import Study

TEXT = "\n".join(["x,y", *(f"{i % 7},{i % 7 * 1.5 + i % 2}" for i in range(30)), ""])


@pytest.mark.parametrize("path", [False, True])
def test_networks_predict_as_their_cells_did(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    penalty = {"kernel": {"l2": [0.0, 10.0] if path else 0.1}}
    study = Study(TEXT, split={"folds": 2}, data={"task": "regression"}, models={"m": {"penalty": penalty}})
    chosen = {}
    for place, key in enumerate(study.cells()):
        study.train(*key)
        chosen |= {key: place} if path else {}
    folders = [study.folder(*key) for key in study.cells()]
    found = list(networks.of_cells(folders, chosen))
    assert [key for key, _ in found] == study.cells()
    for key, network in found:
        rows, predicted = study.predictions(*key)
        expected = predicted[:, chosen[key]] if path else predicted
        np.testing.assert_allclose(np.asarray(network(study.features()[rows])), expected, rtol=1e-5)


def test_a_damaged_network_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study(TEXT, split={"folds": 2}, data={"task": "regression"})
    study.pretend()
    for key in study.cells():
        (study.folder(*key) / "model.keras").write_text("damaged")
    with pytest.raises(RegfoldError, match=r"1-1/model.keras: damaged since it was written; remove it"):
        next(networks.of_cells([study.folder(*key) for key in study.cells()], {}))
