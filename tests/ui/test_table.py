from __future__ import annotations

from datetime import UTC, datetime

from tests.ui.fake_api import prediction
from ui.answers import Prediction
from ui.session import Record
from ui.table import as_csv, rows


def record(second: int, features: dict[str, float], **changes: object) -> Record:
    return Record(
        at=datetime(2026, 3, 4, 5, 6, second, tzinfo=UTC),
        features=features,
        prediction=Prediction.from_json(prediction(**changes)),
    )


def test_the_newest_prediction_comes_first() -> None:
    table = rows([record(1, {"height": 1.5}), record(2, {"height": 2.5}, prediction_id="p-2")])
    assert table[0] == {
        "time (UTC)": "2026-03-04 05:06:02",
        "height": 2.5,
        "class": "worn",
        "probability": 0.9,
        "version": "v2",
        "prediction id": "p-2",
    }


def test_csv_has_one_header_and_a_cell_for_every_feature_ever_seen() -> None:
    text = as_csv(rows([record(1, {"height, mm": 1.5}), record(2, {"width": 7.0})]))
    assert text.splitlines() == [
        'time (UTC),width,class,probability,version,prediction id,"height, mm"',
        "2026-03-04 05:06:02,7.0,worn,0.9,v2,p-1,",
        "2026-03-04 05:06:01,,worn,0.9,v2,p-1,1.5",
    ]
