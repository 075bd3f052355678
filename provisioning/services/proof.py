"""How a service shows that it has read its data anew."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from provisioning.errors import ServiceFailure
from provisioning.services.smoke import API, PROMETHEUS, UI, Ask, NotYet

_METRIC = r"^prometheus_config_last_reload_{}(?:\{{[^}}]*\}})? (\S+)$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


class Proof(Protocol):
    """Sees whether a service has read its data anew. Made before the signal is sent."""

    def check(self) -> None:
        """Raises NotYet, and ServiceFailure when the service refused the data."""
        ...


@dataclass
class PrometheusProof:
    """Prometheus tells when it last loaded its configuration, which scrape jobs it has, and which rules."""

    ask: Ask
    files: Mapping[str, str]
    """Path -> text of what it has to have in force."""
    before: float = field(init=False)
    was_well: bool = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.was_well = self._last_load()

    def check(self) -> None:
        """Raises NotYet, and ServiceFailure when it refused the new configuration."""
        loaded, well = self._last_load()
        if not well and self.was_well:
            raise ServiceFailure(
                PROMETHEUS, "it refuses the new configuration and goes on with the one before"
            )
        if not well or loaded == self.before:
            raise NotYet("it did not load its configuration anew")
        wanted_jobs, wanted_rules = jobs_in(self.files), rules_in(self.files)
        shown = _parsed(self.ask("/api/v1/status/config").json()["data"]["yaml"])
        if scrape_jobs(shown) != wanted_jobs:
            raise NotYet("its configuration is not the one of the release")
        if rules_shown(self.ask("/api/v1/rules").json()["data"]) != wanted_rules:
            raise NotYet("its rules are not those of the release")

    def _last_load(self) -> tuple[float, bool]:
        text = self.ask("/metrics").body.decode("utf-8", "replace")
        values = [
            re.search(_METRIC.format(name), text, re.MULTILINE)
            for name in ("success_timestamp_seconds", "successful")
        ]
        if values[0] is None or values[1] is None:
            raise NotYet("it does not tell when it loaded its configuration")
        return float(values[0][1]), float(values[1][1]) == 1.0


@dataclass
class ApiProof:
    """The API tells which code and models each of its workers serves, and which it refused."""

    ask: Ask
    wanted: str
    """Hash of the manifest that has to be in force; empty for any."""
    code: str = ""
    """Digest of the code that has to answer; empty for any."""
    before: list[str | None] = field(init=False)
    code_before: Mapping[str, Any] | None = field(init=False)

    def __post_init__(self) -> None:
        config = self._config()
        self.before = [worker["refused"] for worker in config["workers"]]
        self.code_before = config["code"]["refused"]

    def check(self) -> None:
        """Raises NotYet, and ServiceFailure when the new code or the new models were refused."""
        config = self._config()
        self._check_code(config)
        workers = config["workers"]
        refused = [worker["refused"] for worker in workers]
        why = next((reason for reason in refused if reason), None)
        if why is not None and refused != self.before:
            raise ServiceFailure(API, f"it refuses the new models and goes on with those before: {why}")
        self._check_all(workers, "manifest_sha256", self.wanted, "serve the models")

    def _check_code(self, config: Mapping[str, Any]) -> None:
        refused = config["code"]["refused"]
        if self.code and refused != self.code_before:
            _check_refused(API, "code", refused, self.code)
        self._check_all(config["workers"], "code", self.code, "run the code")

    def _check_all(self, workers: list[dict[str, Any]], key: str, wanted: str, what: str) -> None:
        behind = sum(worker[key] != wanted for worker in workers) if wanted else 0
        if behind or not workers:
            raise NotYet(f"{behind} of {len(workers)} workers do not {what} of the release")

    def _config(self) -> dict[str, Any]:
        config = self.ask("/config").json()
        if not isinstance(config.get("workers"), list) or not isinstance(config.get("code"), dict):
            raise NotYet("it does not tell which code and models it serves")
        found: dict[str, Any] = config
        return found


@dataclass
class UiProof:
    """The UI tells which code it serves, whether it has opened all of its pages, and which code it refused."""

    ask: Ask
    code: str
    """Digest of the code that has to serve."""
    before: Mapping[str, Any] | None = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._shown()["refused"]

    def check(self) -> None:
        """Raises NotYet, and ServiceFailure when the new pages were refused."""
        shown = self._shown()
        if shown["refused"] != self.before:
            _check_refused(UI, "pages", shown["refused"], self.code)
        if shown["serving"] != self.code or not shown["tried"]:
            raise NotYet("it does not serve the pages of the release")

    def _shown(self) -> dict[str, Any]:
        found = self.ask("/code").json()
        if not isinstance(found, dict) or not {"serving", "tried", "refused"} <= found.keys():
            raise NotYet("it does not tell which pages it serves")
        return found


def _check_refused(service: str, what: str, refused: Mapping[str, Any] | None, wanted: str) -> None:
    if refused is not None and refused["code"] == wanted:
        raise ServiceFailure(
            service, f"it refuses the new {what} and goes on with the {what} before: {refused['why']}"
        )


def jobs_in(files: Mapping[str, str]) -> list[str]:
    """Pure: the scrape jobs of `prometheus.yml` among these files."""
    return scrape_jobs(_parsed(files.get("prometheus.yml", "")))


def scrape_jobs(config: Any) -> list[str]:
    """Pure: the names of a configuration's scrape jobs, sorted."""
    return sorted(str(job["job_name"]) for job in (config or {}).get("scrape_configs") or ())


def rules_in(files: Mapping[str, str]) -> Counter[str]:
    """Pure: every rule of every rule file among these files, as what can be compared of it."""
    documents = (_parsed(text) for name, text in files.items() if name.endswith((".yml", ".yaml")))
    groups = [group for document in documents for group in (document or {}).get("groups") or ()]
    return Counter(
        _rule(group["name"], rule.get("alert") or rule["record"], rule, seconds(str(rule.get("for", "0s"))))
        for group in groups
        for rule in group.get("rules") or ()
    )


def rules_shown(data: Mapping[str, Any]) -> Counter[str]:
    """Pure: every rule in the answer of `/api/v1/rules`, as what can be compared of it."""
    return Counter(
        _rule(group["name"], rule["name"], rule, float(rule.get("duration", 0)))
        for group in data["groups"]
        for rule in group["rules"]
    )


def seconds(duration: str) -> float:
    """Pure: a duration as Prometheus writes it, `1h30m`, in seconds."""
    parts: Iterable[tuple[str, str]] = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _parsed(text: str) -> Any:
    # Prometheus is the one that judges it; libyaml reads it ten times as fast as Python.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


def _rule(group: str, name: str, rule: Mapping[str, Any], lasting: float) -> str:
    # An expression is left out: Prometheus shows it in its own spelling. That it was loaded at all is
    # what the time of the load tells.
    more = {key: {k: str(v) for k, v in (rule.get(key) or {}).items()} for key in ("labels", "annotations")}
    return json.dumps([group, name, round(lasting, 3), more], sort_keys=True)
