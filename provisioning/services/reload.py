"""Data that a service reads anew on a signal: put before it, have it read, and see that it did."""

from __future__ import annotations

import base64
import contextlib
import http.client
import time
from collections.abc import Callable, Iterable, Mapping

from provisioning.config.service_facts import MODELS
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.host.docker_commands import reload_argv
from provisioning.host.store import Store
from provisioning.host_errors import Unreachable
from provisioning.release.manifest import DataDirectory, Release
from provisioning.services.proof import ApiProof, PrometheusProof, Proof, UiProof
from provisioning.services.smoke import API, CODE, PORTS, PROMETHEUS, UI, Ask, NotYet, ask_through_ssh

PATIENCE_SECONDS = 20.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
_GROWTH = 1.2
"""Asking costs 2 ms, and most reloads are over after some tens of them."""
READ_LIMIT = 256 * 1024


def switch_data(store: Store, service: str, release: Release, deadline: Deadline) -> None:
    """Put the release's data before a service that reloads; nothing for any other service."""
    for variable, data in release.service_data(service).items():
        store.put_live(variable, data, deadline, loaded=False)


def confirm_data(store: Store, service: str, release: Release, deadline: Deadline) -> None:
    """Write down on the host that the service has read the release's data."""
    for variable, data in release.service_data(service).items():
        store.put_live(variable, data, deadline, loaded=True)


def reload_service(
    store: Store,
    container: str,
    service: str,
    signal: str,
    release: Release,
    deadline: Deadline,
) -> None:
    """Have a running service read the data that was put before it, and wait for the proof that it did.

    `container` is the id of its container. A service that we do not know how to ask counts as reloaded when
    it took the signal and still runs. Raises ServiceFailure.
    """
    proof = _proof(store, service, release, deadline)
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


def _proof(store: Store, service: str, release: Release, deadline: Deadline) -> Proof | None:
    if service not in PORTS:
        return None
    ask = ask_through_ssh(store.connection, PORTS[service])
    try:
        if service == API:
            return _api_proof(ask, release)
        if service == UI:
            return _ui_proof(ask, release)
        return _prometheus_proof(ask, store, release, deadline)
    except (NotYet, OSError, http.client.HTTPException, Unreachable) as error:
        raise ServiceFailure(service, f"it cannot be asked what it has in force: {error}") from error


def _api_proof(ask: Ask, release: Release) -> ApiProof | None:
    data = release.service_data(API)
    code = _digest(data, CODE[API])
    files = data[MODELS.variable].files if MODELS.variable in data else ()
    models = next((file.sha256 for file in files if file.path == "manifest.json"), "")
    return ApiProof(ask, models, code) if code or models else None


def _ui_proof(ask: Ask, release: Release) -> UiProof | None:
    code = _digest(release.service_data(UI), CODE[UI])
    return UiProof(ask, code) if code else None


def _digest(data: Mapping[str, DataDirectory], variable: str) -> str:
    return data[variable].digest if variable in data else ""


def _prometheus_proof(ask: Ask, store: Store, release: Release, deadline: Deadline) -> PrometheusProof:
    files: dict[str, str] = {}
    for variable, data in release.service_data(PROMETHEUS).items():
        paths = [file.path for file in data.files]
        files.update(read_texts(store, f"live/{variable}/.data/{data.digest}", paths, deadline))
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
