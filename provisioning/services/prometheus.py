"""Prometheus: ready, and scraping the API; a reload counts once it reports the release's scrape jobs and rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from provisioning.config.service_facts import API, PROMETHEUS, ServiceFacts
from provisioning.services.client import Client, NotYet
from provisioning.services.contract import ReloadCheck, RunningService, ServiceContract, refused

_LAST_LOAD = r"^prometheus_config_last_reload_{}(?:\{{[^}}]*\}})? (\S+)$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


@dataclass(frozen=True)
class PrometheusContract:
    """Checks of Prometheus."""

    facts: ServiceFacts = PROMETHEUS
    smoke_timeout: float = 45.0
    """Above three scrape intervals: what it reports of a target is known only after the next scrape."""

    def smoke_test(self, service: RunningService) -> None:
        """Require readiness and, where the release has the API, its scrape target. Raises NotYet.

        The target has to be up only when this push touched Prometheus: a scrape may have failed while the API was
        recreated, and the next one, seconds away, finds what the smoke test of the API has found.
        """
        ready = service.client(self.facts.health)
        if not ready.ok:
            raise NotYet(f"GET {self.facts.health} answers {ready.status}")
        if API.name not in service.release.services:
            return
        response = service.client("/api/v1/targets?state=active").fields("/api/v1/targets")
        targets = [
            target
            for target in response.fields("data").objects("activeTargets")
            if API.name in target.text("scrapeUrl", "")
        ]
        if not targets:
            raise NotYet(f"the scrape target {API.name} is not configured")
        health = [target.text("health", "") for target in targets]
        if service.touched and "up" not in health:
            raise NotYet(
                f"the scrape target {API.name} is not up: {targets[0].text('lastError', '') or health[0]}"
            )

    def reload_check(self, service: RunningService) -> ReloadCheck | None:
        """Return the check that the release's scrape jobs and rules are loaded."""
        return PrometheusReload(service.client, service.read_live_texts())


@dataclass
class PrometheusReload:
    """Compares the time of the last load, the scrape jobs and the rules with the release."""

    client: Client
    files: Mapping[str, str]
    """Path -> text of the files to load."""
    before: float = field(init=False)
    """Unix time of the last successful load."""
    was_successful: bool = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.was_successful = self._last_load()

    def check(self) -> None:
        """Raise NotYet until jobs and rules are loaded, ServiceFailure when the configuration was refused."""
        loaded, successful = self._last_load()
        if not successful and self.was_successful:
            raise refused(PROMETHEUS, "configuration", "the one before")
        if not successful or loaded == self.before:
            raise NotYet("it did not reload its configuration")
        config = _object(self.client("/api/v1/status/config").decoded(), "data").get("yaml")
        if scrape_jobs(_parsed(str(config))) != scrape_jobs(_parsed(self.files.get("prometheus.yml", ""))):
            raise NotYet("its configuration is not the one of the release")
        if rules_loaded(_object(self.client("/api/v1/rules").decoded(), "data")) != rules_in(self.files):
            raise NotYet("its rules are not those of the release")

    def _last_load(self) -> tuple[float, bool]:
        text = self.client(PROMETHEUS.metrics).body.decode("utf-8", "replace")
        values = [
            re.search(_LAST_LOAD.format(name), text, re.MULTILINE)
            for name in ("success_timestamp_seconds", "successful")
        ]
        if values[0] is None or values[1] is None:
            raise NotYet("it does not report when it loaded its configuration")
        return float(values[0][1]), float(values[1][1]) == 1.0


@dataclass(frozen=True)
class Rule:
    """What can be compared of a rule.

    Its expression cannot: Prometheus reports that in its own spelling. That it was loaded at all is what the
    time of the load shows.
    """

    group: str
    name: str
    seconds: float
    """How long the condition holds before an alert fires."""
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]


def scrape_jobs(config: object) -> list[str]:
    """Return the names of a configuration's scrape jobs, sorted."""
    return sorted(str(job["job_name"]) for job in _objects(config, "scrape_configs"))


def rules_in(files: Mapping[str, str]) -> Counter[Rule]:
    """Return the rules of all rule files among these files."""
    documents = (_parsed(text) for name, text in files.items() if name.endswith((".yml", ".yaml")))
    return Counter(
        _rule(group, rule, str(rule.get("alert") or rule["record"]), seconds(str(rule.get("for", "0s"))))
        for document in documents
        for group, rule in _grouped(document)
    )


def rules_loaded(data: object) -> Counter[Rule]:
    """Return the rules in the data of `GET /api/v1/rules`."""
    return Counter(
        _rule(group, rule, str(rule["name"]), float(str(rule.get("duration", 0))))
        for group, rule in _grouped(data)
    )


def seconds(duration: str) -> float:
    """Return the seconds of a duration in Prometheus' notation, such as `1h30m`."""
    parts: list[tuple[str, str]] = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _grouped(document: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    for group in _objects(document, "groups"):
        for rule in _objects(group, "rules"):
            yield str(group["name"]), rule


def _rule(group: str, rule: Mapping[str, object], name: str, lasting: float) -> Rule:
    labels, annotations = (
        tuple(sorted((key, str(value)) for key, value in _object(rule, part).items()))
        for part in ("labels", "annotations")
    )
    return Rule(group, name, round(lasting, 3), labels, annotations)


def _parsed(text: str) -> object:
    # Prometheus is the one that judges it; libyaml reads it ten times as fast as Python.
    value: object = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return value


def _object(value: object, key: str) -> Mapping[str, object]:
    """Return the object at a key; empty when there is none."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _objects(value: object, key: str) -> Sequence[Mapping[str, object]]:
    """Return the objects in the list at a key; empty when there is none."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


CONTRACT: ServiceContract = PrometheusContract()
