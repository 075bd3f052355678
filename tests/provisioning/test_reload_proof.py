"""Pure: when a reload of Prometheus or of the API counts as done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.services.api import ApiReload
from provisioning.services.client import NotYet, Response
from provisioning.services.polling import Backoff, poll
from provisioning.services.prometheus import PrometheusReload, rules_in, rules_loaded, seconds
from provisioning.services.ui import UiReload

FILES = {
    "prometheus.yml": "scrape_configs: [{job_name: api}, {job_name: prometheus}]",
    "rules/a.yml": """
groups:
  - name: api
    rules:
      - alert: Down
        expr: up == 0
        for: 1m30s
        labels: {severity: page}
        annotations: {summary: It is down.}
      - record: job:up
        expr: sum(up)
""",
}


SHOWN = {
    "groups": [
        {
            "name": "api",
            "rules": [
                {
                    "name": "Down",
                    "query": "up == 0",
                    "duration": 90,
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "It is down."},
                },
                {"name": "job:up", "query": "sum(up)"},
            ],
        }
    ]
}


class Prometheus:
    """Answers as Prometheus does about what it loaded."""

    def __init__(self) -> None:
        self.loaded, self.well = 1000.5, 1
        self.rules: Any = SHOWN
        self.config = FILES["prometheus.yml"]

    def __call__(self, path: str, body: Any = None) -> Response:
        if path == "/metrics":
            name = "prometheus_config_last_reload"
            text = (
                f"# HELP x\n{name}_success_timestamp_seconds {self.loaded}\n{name}_successful {self.well}\n"
            )
            return Response(200, text.encode())
        data = {"yaml": self.config} if path.endswith("config") else self.rules
        return Response(200, json.dumps({"data": data}).encode())


def test_a_new_load_with_the_releases_jobs_and_rules_is_the_proof() -> None:
    prometheus = Prometheus()
    proof = PrometheusReload(prometheus, FILES)
    prometheus.loaded = 1001.5

    proof.check()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "did not reload its configuration"),
        ({"loaded": 1001, "config": "scrape_configs: [{job_name: api}]"}, "configuration is not the one"),
        ({"loaded": 1001, "rules": {"groups": []}}, "rules are not those"),
    ],
)
def test_without_all_of_it_there_is_no_proof(change: dict[str, Any], reason: str) -> None:
    prometheus = Prometheus()
    proof = PrometheusReload(prometheus, FILES)
    vars(prometheus).update(change)

    with pytest.raises(NotYet, match=reason):
        proof.check()


def test_a_configuration_that_is_refused_fails_at_once() -> None:
    prometheus = Prometheus()
    proof = PrometheusReload(prometheus, FILES)
    prometheus.well = 0

    with pytest.raises(ServiceFailure, match="it refuses the new configuration"):
        proof.check()


def test_a_refusal_of_earlier_files_does_not_count_against_these() -> None:
    prometheus = Prometheus()
    prometheus.well = 0
    proof = PrometheusReload(prometheus, FILES)

    with pytest.raises(NotYet):
        proof.check()
    prometheus.well, prometheus.loaded = 1, 1002.0
    proof.check()


def test_a_proof_that_does_not_come_is_a_failure_with_its_last_reason() -> None:
    now = [0.0]
    proof = PrometheusReload(Prometheus(), FILES)

    def pass_by(pause: float) -> None:
        now[0] += pause

    with pytest.raises(ServiceFailure, match="did not reload its configuration"):
        poll(
            proof.check,
            "prometheus",
            Deadline(600, lambda: now[0]),
            20,
            Backoff(0.02, 0.2, 1.2),
            sleep=pass_by,
        )
    assert 19 < now[0] < 21


@pytest.mark.parametrize("field", ["name", "duration", "labels", "annotations"])
def test_rules_differ_in_name_time_labels_and_words(field: str) -> None:
    other: Any = json.loads(json.dumps(SHOWN))
    other["groups"][0]["rules"][0][field] = {"other": "x"} if field in ("labels", "annotations") else 5

    assert rules_loaded(SHOWN) == rules_in(FILES)
    assert rules_loaded(other) != rules_in(FILES)


@pytest.mark.parametrize(
    ("duration", "lasting"), [("0s", 0), ("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86400)]
)
def test_a_duration_is_read_as_prometheus_writes_it(duration: str, lasting: float) -> None:
    assert seconds(duration) == lasting


class Api:
    """The API's /config, as far as its workers tell what they serve."""

    def __init__(self, *workers: tuple[str, str | None], codes: tuple[str, ...] = ("code", "code")) -> None:
        self.workers = list(workers)
        self.codes = codes
        self.refused: dict[str, Any] | None = None

    def __call__(self, path: str, body: Any = None) -> Response:
        assert (path, body) == ("/config", None)
        lines = [
            {"manifest_sha256": digest, "refused": refused, "code": code}
            for (digest, refused), code in zip(self.workers, self.codes, strict=False)
        ]
        answer = {"workers": lines, "code": {"serving": self.codes[0], "refused": self.refused}}
        return Response(200, json.dumps(answer).encode())


def test_the_api_runs_new_code_when_every_worker_that_takes_connections_says_so() -> None:
    api = Api(("m", None), ("m", None), codes=("old", "old"))
    proof = ApiReload(api, "m", "new")
    for codes in (("old", "old"), ("new", "old")):
        api.codes = codes
        with pytest.raises(NotYet, match="do not run the code of the release"):
            proof.check()
    api.codes = ("new", "new")
    proof.check()


def test_code_that_is_refused_fails_the_reload_with_the_launchers_words() -> None:
    api = Api(("m", None), codes=("old",))
    proof = ApiReload(api, "m", "new")
    api.refused = {"code": "new", "why": "routes.py, line 3: invalid syntax", "at": 1.0}
    with pytest.raises(ServiceFailure, match=r"refuses the new code.*line 3: invalid syntax"):
        proof.check()


def test_code_that_was_refused_before_may_be_tried_again() -> None:
    api = Api(("m", None), codes=("old",))
    api.refused = {"code": "new", "why": "model v2 would be unavailable", "at": 1.0}
    proof = ApiReload(api, "m", "new")
    with pytest.raises(NotYet):
        proof.check()
    api.refused = {"code": "new", "why": "model v2 would be unavailable", "at": 2.0}
    with pytest.raises(ServiceFailure):
        proof.check()


def test_the_api_has_taken_up_models_when_every_worker_says_so() -> None:
    api = Api(("old", None), ("old", None))
    proof = ApiReload(api, "new")
    reported: list[list[tuple[str, str | None]]] = [
        [("old", None), ("old", None)],
        [("new", None), ("old", None)],
        [],
    ]
    for workers in reported:
        api.workers = workers
        with pytest.raises(NotYet):
            proof.check()
    api.workers = [("new", None), ("new", None)]
    proof.check()


def test_models_that_a_worker_refuses_fail_the_reload_with_its_words() -> None:
    api = Api(("old", None), ("old", None))
    proof = ApiReload(api, "new")
    api.workers = [("old", None), ("old", "model_v2.onnx is missing")]
    with pytest.raises(ServiceFailure, match=r"model_v2\.onnx is missing"):
        proof.check()


def test_a_refusal_from_before_does_not_count_against_the_models_that_follow() -> None:
    api = Api(("old", "model_v2.onnx is missing"))
    proof = ApiReload(api, "new")
    with pytest.raises(NotYet):
        proof.check()
    api.workers = [("new", None)]
    proof.check()


def test_an_api_that_does_not_tell_what_it_serves_cannot_be_waited_for() -> None:
    with pytest.raises(NotYet, match="does not report"):
        ApiReload(lambda *_: Response(200, b"{}"), "new")


class Ui:
    """The UI's /code."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {"serving": "old", "tried": True, "refused": None}

    def __call__(self, path: str, body: Any = None) -> Response:
        assert (path, body) == ("/code", None)
        return Response(200 if self.shown.get("tried") else 503, json.dumps(self.shown).encode())


def test_the_ui_has_taken_up_pages_when_it_serves_them_and_all_of_them_are_tried() -> None:
    ui = Ui()
    proof = UiReload(ui, "new")
    for shown in ({"serving": "old", "tried": True}, {"serving": "new", "tried": False}):
        ui.shown.update(shown)
        with pytest.raises(NotYet, match="does not serve the pages of the release"):
            proof.check()
    ui.shown.update(serving="new", tried=True)
    proof.check()


def test_pages_that_are_refused_fail_the_reload_with_the_launchers_words() -> None:
    ui = Ui()
    ui.shown["refused"] = {"code": "new", "why": "drift.py, line 3: KeyError", "at": 1.0}
    proof = UiReload(ui, "new")
    with pytest.raises(NotYet):
        proof.check()
    ui.shown["refused"] = {"code": "new", "why": "drift.py, line 3: KeyError", "at": 2.0}
    with pytest.raises(ServiceFailure, match=r"refuses the new pages.*before: drift\.py, line 3: KeyError"):
        proof.check()


def test_a_ui_that_does_not_tell_what_it_serves_cannot_be_waited_for() -> None:
    ui = Ui()
    ui.shown = {"detail": "Not Found"}
    with pytest.raises(NotYet, match="does not report which pages"):
        UiReload(ui, "new")
