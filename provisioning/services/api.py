"""The prediction API: ready, of this release, and able to predict; a reload counts once every worker reports it."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from typing import Self

from provisioning.config.service_facts import API, API_CODE, MODELS, ServiceFacts
from provisioning.decode import Fields, WrongShape
from provisioning.services.client import Client, NotYet
from provisioning.services.contract import ReloadCheck, RunningService, ServiceContract, live_digest, refused
from provisioning.services.loaded_code import LoadedCode

_CONFIG = "/config"


@dataclass(frozen=True)
class Worker:
    """What one worker serves."""

    models: str
    """Hash of the manifest of its models; empty without models."""
    code: str
    refused: str
    """Why it does not serve the newest models; empty when it does."""


@dataclass(frozen=True)
class Loaded:
    """What `GET /config` reports about code and models."""

    code: LoadedCode
    workers: tuple[Worker, ...]

    @classmethod
    def from_json(cls, config: Fields) -> Self:
        """Read the response. Raises WrongShape when it does not name code and workers."""
        return cls(
            code=LoadedCode.from_json(config.fields("code")),
            workers=tuple(
                Worker(
                    entry.optional_text("manifest_sha256") or "",
                    entry.text("code"),
                    entry.optional_text("refused") or "",
                )
                for entry in config.objects("workers")
            ),
        )


@dataclass(frozen=True)
class ApiContract:
    """Checks of the prediction API."""

    facts: ServiceFacts = API
    smoke_timeout: float = 10.0

    def smoke_test(self, service: RunningService) -> None:
        """Require readiness, metrics, this release, and a prediction of a sample row. Raises NotYet."""
        client, release = service.client, service.release
        ready = client(self.facts.health)
        if not ready.ok:
            raise NotYet(f"GET {self.facts.health} answers {ready.status}: {ready.excerpt}")
        metrics = client(self.facts.metrics)
        if not metrics.ok:
            raise NotYet(f"GET {self.facts.metrics} answers {metrics.status}")
        config = client(_CONFIG).fields(_CONFIG)
        digest = config.text("service_digest", "")
        if digest != release.services[self.facts.name].digest:
            raise NotYet(f"GET {_CONFIG} shows the release {digest[:12]}")
        code = config.optional_fields("code")
        loaded = LoadedCode.from_json(code) if code else LoadedCode("")
        loaded.require(live_digest(release, API_CODE), _CONFIG)
        response = client("/predict", {"features": _sample(config)})
        if response.status == http.client.UNAUTHORIZED:
            # It requires an API key of its clients, and the push has none.
            return
        if not response.ok or not response.fields("/predict").has("prediction"):
            raise NotYet(f"POST /predict of a sample row answers {response.status}: {response.excerpt}")

    def reload_check(self, service: RunningService) -> ReloadCheck | None:
        """Return the check that every worker serves the release's code and models."""
        code = live_digest(service.release, API_CODE)
        models = service.release.data.get(MODELS.variable)
        files = models.files if models else ()
        manifest = next((file.sha256 for file in files if file.path == "manifest.json"), "")
        return ApiReload(service.client, manifest, code) if code or manifest else None


@dataclass
class ApiReload:
    """Compares what each worker serves and refused with the release."""

    client: Client
    models: str
    """Hash of the manifest of the models to serve; empty for any."""
    code: str = ""
    """Digest of the code to run; empty for any."""
    before: Loaded = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._config()

    def check(self) -> None:
        """Raise NotYet while a worker is behind, ServiceFailure when code or models were refused."""
        config = self._config()
        if self.code:
            config.code.check_refusal(self.before.code, self.code, API, "code")
        self._require(config.workers, [worker.code for worker in config.workers], self.code, "run the code")
        reasons = [worker.refused for worker in config.workers]
        why = next(filter(None, reasons), "")
        if why and reasons != [worker.refused for worker in self.before.workers]:
            raise refused(API, "models", "those before", why)
        served = [worker.models for worker in config.workers]
        self._require(config.workers, served, self.models, "serve the models")

    @staticmethod
    def _require(workers: tuple[Worker, ...], found: list[str], wanted: str, what: str) -> None:
        behind = sum(digest != wanted for digest in found) if wanted else 0
        if behind or not workers:
            raise NotYet(f"{behind} of {len(workers)} workers do not {what} of the release")

    def _config(self) -> Loaded:
        response = self.client(_CONFIG)
        try:
            return Loaded.from_json(response.fields(_CONFIG))
        except WrongShape:
            raise NotYet("it does not report which code and models it serves") from None


def _sample(config: Fields) -> dict[str, float]:
    """Return a row from the middle of the training ranges."""
    return {
        entry.text("name"): (entry.real("min") + entry.real("max")) / 2
        for entry in config.objects("features")
    }


CONTRACT: ServiceContract = ApiContract()
