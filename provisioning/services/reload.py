"""Data that a service reads anew on a signal: put before it, have it read, and see that it did."""

from __future__ import annotations

import base64
import contextlib
import http.client
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioning.config.service_facts import MODELS
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.host.docker_commands import reload_argv
from provisioning.host.store import Store
from provisioning.host_errors import Unreachable
from provisioning.services.proof import ApiProof, PrometheusProof, Proof, UiProof
from provisioning.services.smoke import API, CODE, PORTS, PROMETHEUS, UI, Ask, NotYet, ask_through_ssh

PATIENCE_SECONDS = 20.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
_GROWTH = 1.2
"""Asking costs 2 ms, and most reloads are over after some tens of them."""
READ_LIMIT = 256 * 1024


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


def _proof(store: Store, service: str, manifest: Mapping[str, Any], deadline: Deadline) -> Proof | None:
    if service not in PORTS:
        return None
    ask = ask_through_ssh(store.connection, PORTS[service])
    try:
        if service == API:
            return _api_proof(ask, manifest)
        if service == UI:
            return _ui_proof(ask, manifest)
        return _prometheus_proof(ask, store, manifest, deadline)
    except (NotYet, OSError, http.client.HTTPException, Unreachable) as error:
        raise ServiceFailure(service, f"it cannot be asked what it has in force: {error}") from error


def _api_proof(ask: Ask, manifest: Mapping[str, Any]) -> ApiProof | None:
    data = dict(_live_data(API, manifest))
    code = _digest(data, CODE[API])
    models = [
        item["sha256"]
        for item in data.get(MODELS.variable, {"files": ()})["files"]
        if item["path"] == "manifest.json"
    ]
    return ApiProof(ask, models[0] if models else "", code) if code or models else None


def _ui_proof(ask: Ask, manifest: Mapping[str, Any]) -> UiProof | None:
    code = _digest(dict(_live_data(UI, manifest)), CODE[UI])
    return UiProof(ask, code) if code else None


def _digest(data: Mapping[str, Mapping[str, Any]], variable: str) -> str:
    return str(data[variable]["digest"]) if variable in data else ""


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
