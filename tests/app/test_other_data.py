"""Data sets that scikit-learn ships, as CSV files of a user: nothing of the service is about Iris."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from app.train_model import is_current, main
from app.training.table import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.app.conftest import MakeClient

pytestmark = pytest.mark.process

SETS = {"wine": (load_wine, 13, 3), "breast_cancer": (load_breast_cancer, 30, 2)}


def save(name: str, path: Path) -> None:
    data = SETS[name][0]()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["diagnosis", *data.feature_names])
        for label, row in zip(data.target, data.data, strict=True):
            writer.writerow([data.target_names[label], *row])


@pytest.mark.parametrize("name", SETS)
def test_a_users_table_is_trained_on_and_served(
    name: str, tmp_path: Path, make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    _, features, classes = SETS[name]
    table, out = tmp_path / f"{name}.csv", tmp_path / "artifacts"
    save(name, table)
    assert main(["--data", str(table), "--label", "diagnosis", "--out", str(out)]) == 0
    assert f"{name}.csv: {features} features, {classes} classes in 'diagnosis'" in capsys.readouterr().out
    client = make_client(models=out)
    assert client.get("/ready").status_code == 200
    config = client.get("/config").get_json()
    assert len(config["features"]) == features
    data = read_table(table, "diagnosis")
    assert config["classes"] == data.classes
    right = 0
    for position in data.held_out:
        answer = client.post("/predict", json={"features": data.rows[position].tolist()})
        assert answer.status_code == 200, answer.get_json()
        right += answer.get_json()["class"] == data.classes[data.labels[position]]
    print(f"{name}: {right} of {len(data.held_out)} held-out rows right through the API")
    assert right / len(data.held_out) > 0.85
    assert f"| {data.feature_names[0]} |" in (out / "model_card.md").read_text()
    # What was trained on a table stays, also where the table is not named.
    manifest = (out / "manifest.json").read_bytes()
    assert main(["--if-stale", "--out", str(out)]) == 0
    assert (out / "manifest.json").read_bytes() == manifest
    assert is_current(out, data)
    assert json.loads(manifest)["data"]["source"] == f"{name}.csv"
