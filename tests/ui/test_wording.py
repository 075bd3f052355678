from __future__ import annotations

import pytest

from tests.ui.fake_api import METRICS, arm, config, prediction
from ui.api.answers import Config, Prediction
from ui.api.usage import Usage
from ui.display.wording import (
    drift_sentence,
    duration,
    error_sentence,
    listed,
    plain,
    reason_sentence,
    share,
    unavailable_sentence,
)
from ui.errors import ApiRefused


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sepal length (cm)", "sepal length (cm)"),
        ("model_v2.onnx", r"model\_v2.onnx"),
        ("![x](http://host/p.png)", r"\!\[x\](http\://host/p.png)"),
        ("<b> $a$ :red[x]\n# t", r"\<b\> \$a\$ \:red\[x\] \# t"),
    ],
)
def test_text_of_the_api_is_shown_as_it_is(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_an_error_says_what_happened_and_what_to_do() -> None:
    error = ApiRefused("height is missing", url="http://host/predict", status=422)
    assert error_sentence(error) == (
        r"The prediction API refused the request\: height is missing. Change the input and try again."
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0.00234, "2.34 ms"), (0.25, "250 ms"), (1.5, "1.5 s")]
)
def test_a_latency_is_written_in_its_unit(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "50 %"), (1 / 3, "33.3 %"), (0.0, "0 %"), (1.0, "100 %")])
def test_a_share_is_written_in_percent(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("v1", "v2", "text"),
    [
        (arm(), arm(), None),
        (
            arm(),
            arm(up=False, reason="cut off."),
            "Model v2 is unavailable (cut off). v1 answers all requests.",
        ),
        (
            arm(up=False),
            arm(up=False, reason="gone"),
            "Model v1 is unavailable (no reason given). Model v2 is unavailable (gone). No model can answer.",
        ),
    ],
)
def test_a_model_that_is_off_is_named_with_its_stand_in(v1: object, v2: object, text: str | None) -> None:
    assert unavailable_sentence(Config.from_json(config(models={"v1": v1, "v2": v2}))) == text


def test_a_model_without_traffic_does_not_step_in() -> None:
    values = config(split={"v1": 1.0, "v2": 0.0}, models={"v1": arm(up=False, reason="gone"), "v2": arm()})
    assert (
        unavailable_sentence(Config.from_json(values))
        == "Model v1 is unavailable (gone). No model can answer."
    )


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("split", "Assigned by the split: v1 70 %, v2 30 %."),
        ("fallback", "The assigned model is unavailable; this one answered instead."),
        ("sticky", "The user of the request is assigned to this model."),
        ("forced", "The request forced this model."),
        ("lottery", "Reason given by the API: lottery."),
    ],
)
def test_the_reason_for_a_version_is_said(reason: str, text: str) -> None:
    answer = Prediction.from_json(prediction(reason=reason))
    assert reason_sentence(answer, Config.from_json(config())) == text


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("", "Warming up: 200 of 30 rows."),
        ("model_drift_score 0.5\n", "The test over the latest 200 rows finds no drift."),
        (
            "model_drift_score 0.1\nmodel_drift_detected 1.0\n",
            "The test over the latest 200 rows finds drift; see the Drift page.",
        ),
    ],
)
def test_drift_is_what_the_test_says_and_not_the_score(more: str, text: str) -> None:
    assert drift_sentence(Usage.from_metrics(METRICS + more), Config.from_json(config())) == text


def test_parameters_and_metrics_fit_a_table_cell() -> None:
    values = {
        "max_depth": 5,
        "accuracy": 0.93333,
        "loss": {"value": 0.05, "low": 0.01, "high": 0.1},
        "by_class": {"ok": 1},
    }
    assert listed(values) == "max depth 5 · accuracy 0.933 · loss 0.05 (0.01 to 0.1) · by class (ok 1)"
