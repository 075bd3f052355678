from __future__ import annotations

from tests.ui.fake_api import drift, experiment, logged
from ui.api.reports import Drift, ExperimentReport, Logged
from ui.display.table import arms, as_csv, distances, labels, predictions


def row(number: int, **changes: object) -> Logged:
    (found,) = Logged.from_json({"predictions": [logged(number, **changes)]})
    return found


def test_a_prediction_is_a_row_of_answers_inputs_and_how_it_came_about() -> None:
    (found,) = predictions([row(7, features={"height": 2.5}, other_class="ok", label="ok")])
    assert found == {
        "time (UTC)": "2026-01-02 03:04:05",
        "class": "worn",
        "other model": "ok",
        "label": "ok",
        "height": 2.5,
        "version": "v2",
        "reason": "split",
        "synthetic": False,
        "milliseconds": 0.21,
        "prediction id": f"{7:032x}",
    }


def test_csv_has_one_header_and_a_cell_for_every_feature_ever_seen() -> None:
    text = as_csv(
        predictions([row(2, features={"height, mm": 1.5}), row(1, features={"width": 7.0})])
    ).splitlines()
    assert text[0].startswith('time (UTC),class,other model,label,"height, mm",version')
    assert text[0].endswith(",width")
    assert text[1].endswith(",")
    assert text[2].endswith(",7.0")
    assert len(text) == 3


def test_distances_are_in_parts_of_their_limits() -> None:
    table = distances(Drift.from_json(drift()).features, "feature", "now", "training")
    assert [(line["feature"], line["of its limit"], line["now"]) for line in table] == [
        ("width_mm", 0.15 / 0.2, 41.0),
        ("height", 0.25, 2.1),
    ]


def test_versions_and_labels_are_rows() -> None:
    report = ExperimentReport.from_json(experiment())
    assert [(line["version"], line["right alone"], line["p95"]) for line in arms(report)] == [
        ("v1", 1, "1 ms"),
        ("v2", 2, "1 ms"),
    ]
    assert [line["only v2 right"] for line in labels(report)] == [2, 0]


def test_a_row_divides_the_models_while_nobody_said_who_is_right() -> None:
    assert row(1, other_class="ok").disputed
    assert not row(1).disputed
    assert not row(1, other_class=None).disputed
    assert not row(1, other_class="ok", label="ok").disputed
    assert not row(1, other_class="ok", synthetic=True).disputed
