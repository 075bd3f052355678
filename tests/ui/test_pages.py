"""The pages of the app, each run without a browser against a fake API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.fake_api import arm, config, feature
from tests.ui.pages import APP, charted, switch, words
from ui import streamlit_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ui.fake_api import FakeApi

pytestmark = pytest.mark.process


PAGES = ["predict", "history", "drift", "experiment", "status"]


@pytest.fixture
def without_api(
    open_page: Callable[[str], AppTest], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], AppTest]:
    """Opens the app on a page while nothing listens where the API should be."""
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{closed_port}")
    return open_page


def press(app: AppTest) -> AppTest:
    return app.button(key="get-prediction").click().run()


def test_the_frame_opens_on_the_first_of_all_pages(open_page: Callable[[str], AppTest]) -> None:
    open_page("predict")
    app = AppTest.from_file(str(APP), default_timeout=20).run()
    assert not app.exception
    assert [title.value for title in app.title] == ["Predict"]
    assert list(streamlit_app.PAGES) == PAGES
    assert list(streamlit_app.ICONS) == PAGES


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
    assert "Assigned by the split: v1 70 %, v2 30 %." in words(app)
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
    switch(switch(press(app), "history"), "predict")
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
    assert warning.value == r"Model v2 is unavailable (model\_v2.onnx is cut off). v1 answers all requests."


@pytest.mark.parametrize("page", ["predict", "status"])
def test_an_api_without_any_model_is_shown_with_its_reason(
    page: str, open_page: Callable[[str], AppTest], api: FakeApi
) -> None:
    off: dict[str, Any] = {
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
