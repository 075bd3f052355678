"""A worker of the API and its recorder in one process, each called by the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from app.experiment.recorder import Recorder
from app.settings import ApiSettings

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient


GOOD = [5.1, 3.5, 1.4, 0.2]


class Service:
    """A worker and its recorder, each called by the test."""

    def __init__(self, models: Path, root: Path, **changes: Any) -> None:
        self.settings = ApiSettings(
            models_dir=models, state_dir=root / "state", data_dir=root / "data", **changes
        )
        self.draws = iter(())
        self.client: FlaskClient = create_app(
            self.settings, registry=CollectorRegistry(), draw=self._draw
        ).test_client()
        self.recorder = Recorder(self.settings)
        self._turn = 0

    def _draw(self) -> float:
        self._turn += 1
        return 0.25 if self._turn % 2 else 0.75

    def predict(self, row: list[float] | None = None, /, **headers: str) -> dict[str, Any]:
        answer = self.client.post("/predict", json={"features": row or GOOD}, headers=headers)
        assert answer.status_code == 200, answer.get_json()
        return dict(answer.get_json())

    def feedback(self, prediction_id: object, label: object) -> tuple[int, dict[str, Any]]:
        answer = self.client.post("/feedback", json={"prediction_id": prediction_id, "label": label})
        return answer.status_code, dict(answer.get_json())

    def experiment(self) -> dict[str, Any]:
        return dict(self.client.get("/experiment").get_json())

    def logged(self) -> list[dict[str, Any]]:
        return list(self.client.get("/predictions?limit=500").get_json()["predictions"])

    def gauge(self, name: str) -> float:
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
        return float(value)
