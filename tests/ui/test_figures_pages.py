"""The pages that show figures of the server: history, drift, experiment and status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.fake_api import METRICS, distance, drift, experiment, logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ui.fake_api import FakeApi
from tests.ui.pages import charted, words

pytestmark = pytest.mark.process


def test_history_is_that_of_the_server_newest_first(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.say(
        "/predictions",
        {
            "predictions": [
                logged(2, features={"height": 1.2}, label="ok", synthetic=True),
                logged(1, **{"class": None}, reason="fallback"),
            ]
        },
    )
    app = open_page("history")
    table = app.dataframe[0].value
    assert list(table["height"]) == [1.2, 2.5]
    assert list(table["class"]) == ["worn", "(failed)"]
    assert list(table["label"]) == ["ok", ""]
    assert list(table["synthetic"]) == [True, False]
    assert app.get("download_button")[0].proto.label == "Download CSV"


def test_an_empty_history_says_so(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    api.say("/predictions", {"predictions": []})
    assert "No predictions in the log yet" in open_page("history").info[0].value


def test_drift_shows_features_and_classes_the_farthest_first(open_page: Callable[[str], AppTest]) -> None:
    app = open_page("drift")
    assert app.success[0].value == "The latest 200 rows are like the training data."
    features, classes = (table.value for table in app.dataframe)
    assert list(features["feature"]) == ["width_mm", "height"]
    assert list(features["of its limit"]) == pytest.approx([0.75, 0.25])
    assert list(classes["class"]) == ["ok", "worn", "broken"]
    assert {metric.label: metric.value for metric in app.metric} == {
        "Correlations between features": "50 % of its limit"
    }
    assert "0.6 % of windows without drift are false alarms." in words(app)


def test_drift_that_was_found_is_a_warning_that_names_it(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.say(
        "/drift",
        drift(
            status="drifted",
            features=[distance("height_mm", 0.5, mean=9.0, training_mean=2.0)],
            classes=[distance("worn", 0.5, share=0.9, expected_share=0.4)],
            joint={"distance": 0.5, "limit": 0.2, "drifted": True},
        ),
    )
    (warning,) = open_page("drift").warning
    assert (
        warning.value.replace("\\", "")
        == "Drift over 200 rows: height_mm, share of worn, the correlations between features."
    )


def test_a_short_window_is_warming_up(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    api.say("/drift", drift(status="warming_up", rows=12, score=None, features=[], classes=[], joint=None))
    app = open_page("drift")
    assert app.get("progress")[0].proto.text.replace("\\", "") == "Warming up: 12 of 50 rows."
    assert not app.dataframe


def test_the_experiment_shows_its_verdict_and_both_versions(open_page: Callable[[str], AppTest]) -> None:
    app = open_page("experiment")
    assert {metric.label: metric.value for metric in app.metric} == {
        "Verdict": "Collecting labels",
        "The models disagree on": "10 %",
        "Rows scored by both": "240",
    }
    assert "Of 3 labelled rows on which exactly one model was right" in words(app)
    assert "The 240 random assignments follow the split." in words(app)
    arms = app.dataframe[0].value
    assert list(arms["version"]) == ["v1", "v2"]
    assert list(arms["right alone"]) == [1, 2]
    assert list(arms["p50"]) == ["0.2 ms", "0.2 ms"]


def test_an_experiment_without_rows_is_shown(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    api.say(
        "/experiment", experiment(since=None, disagreement_rate=None, arms={}, labelled_after={}, compared=0)
    )
    api.say("/predictions", {"predictions": []})
    app = open_page("experiment")
    assert not app.exception
    assert app.metric[1].value == "–"


def test_rows_that_divide_the_models_wait_for_a_label(open_page: Callable[[str], AppTest]) -> None:
    app = open_page("experiment")
    assert app.text_input[0].value == f"{2:032x}"
    assert list(app.selectbox[0].options) == ["ok", "worn", "broken"]
    disputed = app.dataframe[-1].value
    assert list(disputed["prediction id"]) == [f"{2:032x}"]


def test_a_label_is_sent_and_confirmed(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    app = open_page("experiment")
    app.selectbox[0].set_value("ok")
    app.button(key="save-label").click().run()
    assert api.rows == [{"prediction_id": f"{2:032x}", "label": "ok"}]
    assert app.success[0].value == f"{2:032x} is ok (new)."
    assert not app.exception


def test_a_label_without_a_class_is_not_sent(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    app = open_page("experiment")
    app.button(key="save-label").click().run()
    assert api.rows == []
    assert "Choose a prediction and its class first." in app.warning[0].value


def test_a_label_that_is_refused_shows_why(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    app = open_page("experiment")
    api.refuse("/feedback", 404, "there is no prediction abc")
    app.selectbox[0].set_value("ok")
    app.button(key="save-label").click().run()
    assert "there is no prediction abc" in app.error[0].value


def test_status_shows_totals_of_the_server(open_page: Callable[[str], AppTest]) -> None:
    app = open_page("status")
    assert {metric.label: metric.value for metric in app.metric} == {
        "Predictions": "250",
        "Model errors": "4",
        "Refused requests": "5",
        "Latency p50": "1 ms",
        "Latency p95": "1.9 ms",
        "Score": "0.12",
    }
    assert charted(app) == {"v1": 132, "v2": 118}
    assert "RandomForestClassifier: n estimators 100 · max depth 7" in words(app)
    assert "Held-out data: accuracy 0.933" in words(app)
    assert "File ab12cd34ef56" in words(app)


def test_status_of_an_api_without_traffic_shows_zeros(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.say("/metrics", "")
    app = open_page("status")
    assert [metric.value for metric in app.metric] == ["0", "0", "0", "–", "–"]
    assert not app.exception


def test_drift_that_is_warming_up_is_no_score(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    api.say("/metrics", METRICS.replace("window_rows 200.0", "window_rows 12.0"))
    app = open_page("status")
    assert app.get("progress")[0].proto.text == "Warming up: 12 of 30 rows."
    assert "Score" not in [metric.label for metric in app.metric]


def test_drift_that_was_found_is_a_warning_on_the_status_page(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.say("/metrics", METRICS + "model_drift_score 0.1\nmodel_drift_detected 1.0\n")
    (warning,) = open_page("status").warning
    assert warning.value == "The test over the latest 200 rows finds drift; see the Drift page."
