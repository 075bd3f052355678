"""Data that a service reads anew on a signal: put before it, have it read, and see that it did."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from provisioning.compose import reload_argv
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.host import Store
from provisioning.host_errors import Unreachable
from provisioning.release import CODE_VARIABLE, MODELS_VARIABLE
from provisioning.smoke import API, PORTS, PROMETHEUS, Ask, NotYet, ask_through_ssh

PATIENCE_SECONDS = 20.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
_GROWTH = 1.2
"""Asking costs 2 ms, and most reloads are over after some tens of them."""
READ_LIMIT = 256 * 1024
_METRIC = r"^prometheus_config_last_reload_{}(?:\{{[^}}]*\}})? (\S+)$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


class Proof(Protocol):
    """Sees whether a service has read its data anew. Made before the signal is sent."""

    def check(self) -> None:
        """Raises NotYet, and ServiceFailure when the service refused the data."""
        ...


def switch_data(store: Store, service: str, manifest: Mapping[str, Any], deadline: Deadline) -> None:
    """Put the manifest's data before a service that reloads; nothing for any other service."""
    for variable, entry in _live_data(service, manifest):
        store.put_live(variable, entry, deadline, loaded=False)


def confirm_data(store: Store, service: str, manifest: Mapping[str, Any], deadline: Deadline) -> None:
    """Write down on the host that the service has read the manifest's data."""
    for variable, entry in _live_data(service, manifest):
        store.put_live(variable, entry, deadline, loaded=True)


def reload_service(
    store: Store,
    container: str,
    service: str,
    signal: str,
    manifest: Mapping[str, Any],
    deadline: Deadline,
) -> None:
    """Have a running service read the data that was put before it, and wait for the proof that it did.

    `container` is the id of its container. A service that we do not know how to ask counts as reloaded when
    it took the signal and still runs. Raises ServiceFailure.
    """
    proof = _proof(store, service, manifest, deadline)
    done = store.run_step(reload_argv(container, signal), f"reload {service}", deadline, finish=True)
    if done.status != 0:
        said = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise ServiceFailure(service, f"it did not take {signal}: {said}")
    if proof is not None:
        wait_for(proof, service, deadline)


def wait_for(
    proof: Proof, service: str, deadline: Deadline, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Ask until the proof is there. Raises ServiceFailure with the last reason when it does not come."""
    started = deadline.waited
    pause = _FIRST_PAUSE
    while True:
        try:
            return proof.check()
        except (NotYet, OSError, http.client.HTTPException, Unreachable) as error:
            reason = str(error) or type(error).__name__
        if deadline.waited - started >= min(PATIENCE_SECONDS, deadline.left):
            raise ServiceFailure(service, reason)
        sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


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
        if self.code and refused not in (None, self.code_before) and refused["code"] == self.code:
            raise ServiceFailure(
                API, f"it refuses the new code and goes on with the code before: {refused['why']}"
            )
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


def _proof(store: Store, service: str, manifest: Mapping[str, Any], deadline: Deadline) -> Proof | None:
    if service not in (API, PROMETHEUS):
        return None
    ask = ask_through_ssh(store.connection, PORTS[service])
    try:
        return (
            _api_proof(ask, manifest) if service == API else _prometheus_proof(ask, store, manifest, deadline)
        )
    except (NotYet, OSError, http.client.HTTPException, Unreachable) as error:
        raise ServiceFailure(service, f"it cannot be asked what it has in force: {error}") from error


def _api_proof(ask: Ask, manifest: Mapping[str, Any]) -> ApiProof | None:
    data = dict(_live_data(API, manifest))
    code = data[CODE_VARIABLE]["digest"] if CODE_VARIABLE in data else ""
    models = [
        item["sha256"]
        for item in data.get(MODELS_VARIABLE, {"files": ()})["files"]
        if item["path"] == "manifest.json"
    ]
    return ApiProof(ask, models[0] if models else "", code) if code or models else None


def _prometheus_proof(
    ask: Ask, store: Store, manifest: Mapping[str, Any], deadline: Deadline
) -> PrometheusProof:
    files: dict[str, str] = {}
    for variable, entry in _live_data(PROMETHEUS, manifest):
        paths = [item["path"] for item in entry["files"]]
        files.update(read_texts(store, f"live/{variable}/.data/{entry['digest']}", paths, deadline))
    return PrometheusProof(ask, files)


def read_texts(store: Store, directory: str, paths: Iterable[str], deadline: Deadline) -> dict[str, str]:
    """Path -> content of those files below a directory of the host that are text. Changes nothing."""
    request = {"root": store.root, "directory": directory, "paths": list(paths), "limit": READ_LIMIT}
    found: dict[str, str] = {}
    for path, content in store.ask("read_files.py", request, deadline).items():
        if content is not None:
            with contextlib.suppress(UnicodeDecodeError):
                found[path] = base64.b64decode(content).decode("utf-8")
    return found


def _live_data(service: str, manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    part = manifest["services"].get(service)
    variables = part["data"] if part and part["reload"] else ()
    return [(variable, manifest["data"][variable]) for variable in variables]
