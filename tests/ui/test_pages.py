from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.ipc
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import ui
from tests.ui.fake_api import METRICS, arm, config, distance, drift, experiment, feature, logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.ui.fake_api import FakeApi

pytestmark = pytest.mark.process

APP = Path(ui.__file__).parent / "streamlit_app.py"
PAGES = ["predict", "history", "drift", "experiment", "status"]


@pytest.fixture
def open_page(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], AppTest]]:
    """Opens the app on a page, against the fake API."""
    monkeypatch.setenv("API_URL", api.url)
    st.cache_resource.clear()

    def opened(page: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=20).run()
        return app if page == "predict" else app.switch_page(f"app_pages/{page}.py").run()

    yield opened
    st.cache_resource.clear()


@pytest.fixture
def without_api(
    open_page: Callable[[str], AppTest], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], AppTest]:
    """Opens the app on a page while nothing listens where the API should be."""
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{closed_port}")
    return open_page


def press(app: AppTest) -> AppTest:
    return app.button(key="get-prediction").click().run()


def words(app: AppTest) -> str:
    return " ".join(
        str(element.value) for kind in (app.markdown, app.caption, app.metric) for element in kind
    ).replace("\\", "")


def charted(app: AppTest) -> dict[str, float]:
    """The values of the page's one chart by name, as they are sent to the browser."""
    (chart,) = app.get("vega_lite_chart")
    table = pyarrow.ipc.open_stream(chart.proto.data.data).read_all()
    return dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_without_an_error(page: str, open_page: Callable[[str], AppTest]) -> None:
    app = open_page(page)
    assert [title.value for title in app.title] == [page.capitalize()]
    assert not app.exception
    assert not app.error
    assert not app.warning


def test_sliders_have_the_ranges_and_means_of_the_training_data(open_page: Callable[[str], AppTest]) -> None:
    height, width = open_page("predict").slider
    assert (height.label, height.min, height.max, height.value) == ("height", 1.0, 3.0, 2.0)
    assert (width.label, width.min, width.max, width.value) == (r"width\_mm", 10.0, 90.0, 42.0)


def test_nothing_is_asked_before_the_button_is_pressed(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    open_page("predict").slider(key="feature:height").set_value(2.5).run()
    assert api.rows == []


def test_the_button_sends_one_row_and_shows_who_answered(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    app = open_page("predict")
    app.slider(key="feature:height").set_value(2.5)
    press(app)
    assert api.rows == [{"features": {"height": 2.5, "width_mm": 42.0}}]
    assert {metric.label: metric.value for metric in app.metric} == {
        "Prediction": "worn",
        "Probability": "90 %",
    }
    assert "Answered by model **v2**" in words(app)
    assert "Drawn by the split: v1 70 %, v2 30 %." in words(app)
    assert "p-1" in words(app)


def test_probabilities_are_a_bar_chart_in_the_order_of_the_classes(
    open_page: Callable[[str], AppTest],
) -> None:
    assert charted(press(open_page("predict"))) == {"ok": 0.02, "worn": 0.9, "broken": 0.08}


def test_the_answer_and_the_sliders_are_still_there_after_another_page(
    open_page: Callable[[str], AppTest],
) -> None:
    app = open_page("predict")
    app.slider(key="feature:height").set_value(2.5)
    press(app).switch_page("app_pages/history.py").run().switch_page("app_pages/predict.py").run()
    assert app.slider(key="feature:height").value == 2.5
    assert app.metric[0].value == "worn"


def test_a_refused_row_shows_the_apis_reason_and_no_older_answer(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    app = press(open_page("predict"))
    api.refuse("/predict", 422, "height: 99 is out of range")
    press(app)
    (error,) = app.error
    assert "height\\: 99 is out of range" in error.value
    assert not app.exception
    assert not app.metric
    assert app.session_state["latest"].prediction.class_name == "worn"


def test_an_api_that_cannot_serve_shows_its_reason(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    app = open_page("predict")
    api.refuse("/predict", 503, "no model is loaded")
    (error,) = press(app).error
    assert "no model is loaded" in error.value


@pytest.mark.parametrize("page", PAGES)
def test_without_an_api_a_page_says_so_once_and_what_to_do(
    page: str, without_api: Callable[[str], AppTest]
) -> None:
    app = without_api(page)
    (error,) = app.error
    assert "cannot be reached" in error.value
    assert "docker compose logs flask-api" in error.value
    assert not app.exception
    assert not app.slider
    assert app.button(key="try-again").label == "Try again"


@pytest.mark.parametrize(
    ("page", "path"),
    [("history", "/predictions"), ("drift", "/drift"), ("experiment", "/experiment"), ("status", "/metrics")],
)
def test_too_many_questions_are_said_and_may_be_asked_again(
    page: str, path: str, open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.refuse(path, 429, "too many requests in this second")
    app = open_page(page)
    (error,) = app.error
    assert "too many requests in this second" in error.value
    assert app.button(key="try-again").label == "Try again"
    assert not app.exception


def test_a_prediction_that_comes_too_soon_says_so(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    app = open_page("predict")
    api.refuse("/predict", 429, "too many requests in this second")
    (error,) = press(app).error
    assert "too many requests in this second" in error.value


def test_try_again_finds_an_api_that_came_back(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    api.refuse("/config", 503, "starting")
    app = open_page("predict")
    assert app.error
    api.say("/config", config())
    app.button(key="try-again").click().run()
    assert not app.error
    assert len(app.slider) == 2


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_api_url_is_said_on_the_page(
    page: str, open_page: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_URL", "flask-api")
    app = open_page(page)
    (error,) = app.error
    assert "API\\_URL is not an address" in error.value
    assert not app.exception


@pytest.mark.parametrize("page", ["predict", "status"])
def test_a_model_that_is_off_is_a_warning_with_its_reason(
    page: str, open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    api.say("/config", config(models={"v1": arm(), "v2": arm(up=False, reason="model_v2.onnx is cut off")}))
    (warning,) = open_page(page).warning
    assert warning.value == r"Model v2 is off (model\_v2.onnx is cut off). v1 answers all requests."


@pytest.mark.parametrize("page", ["predict", "status"])
def test_an_api_without_any_model_is_shown_with_its_reason(
    page: str, open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    off = {
        "up": False,
        "sha256": None,
        "algorithm": None,
        "params": {},
        "metrics": {},
        "reason": "no manifest.json",
    }
    nothing = config(features=[], classes=[], models={"v1": off, "v2": off}, reason="no manifest.json")
    api.say("/config", nothing)
    app = open_page(page)
    assert not app.exception
    assert "no manifest.json" in [*app.error, *app.warning][0].value
    assert not app.slider


def test_any_number_of_features_fits_the_form(open_page: Callable[[str], AppTest], api: FakeApi) -> None:
    names = [f"f{i}" for i in range(30)]
    api.say("/config", config(features=[feature(name, -1.0, i + 1.0, 0.0) for i, name in enumerate(names)]))
    app = open_page("predict")
    assert [slider.label for slider in app.slider] == names
    press(app)
    assert list(api.rows[0]["features"]) == names


def test_a_try_is_marked_as_synthetic_until_it_is_said_to_be_real(
    open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    app = press(open_page("predict"))
    app.toggle(key="real").set_value(True)
    press(app)
    assert [headers.get("X-Synthetic") for headers in api.headers] == ["1", None]


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
        "Connection between features": "50 % of its limit"
    }
    assert "0.6 % of windows without drift pass as drift." in words(app)


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
        == "Drift over 200 rows: height_mm, answers of worn, the connection between features."
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
    assert "The 240 requests drawn by chance fall to the versions as the split says." in words(app)
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
    assert warning.value == "The test over the latest 200 rows finds drift; the Drift page says where."
