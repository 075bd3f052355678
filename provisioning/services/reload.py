"""Hot reload of live data: switch it, signal the service, and wait until the service confirms that it loaded it."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable

from provisioning.agent.observe.messages import ReadFiles
from provisioning.deadline import Deadline
from provisioning.errors import ServiceFailure
from provisioning.host.docker_commands import reload_argv
from provisioning.host.store import Store
from provisioning.release.manifest import Release
from provisioning.services.client import tunnel_client
from provisioning.services.contract import ReloadCheck, RunningService
from provisioning.services.polling import PASSING, Backoff, poll
from provisioning.services.registry import contracts

RELOAD_TIMEOUT = 20.0
# A request costs 2 ms, and most reloads are over after some tens of them.
_BACKOFF = Backoff(first=0.02, longest=0.2, factor=1.2)
READ_LIMIT = 256 * 1024


def switch_data(store: Store, service: str, release: Release, deadline: Deadline) -> None:
    """Switch the live data of a service that reloads to the release's; do nothing for any other service."""
    for variable, data in release.service_data(service).items():
        store.put_live(variable, data, deadline, loaded=False)


def confirm_data(store: Store, service: str, release: Release, deadline: Deadline) -> None:
    """Record on the host that the service has loaded the release's data."""
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
    """Signal a running service to load its switched data, and wait until it confirms that it did.

    `container` is the id of its container. A service without a contract counts as reloaded when it took the
    signal and still runs. Raises ServiceFailure.
    """
    check = _reload_check(store, service, release, deadline)
    done = store.run_step(reload_argv(container, signal), f"reload {service}", deadline, finish=True)
    if done.status != 0:
        said = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise ServiceFailure(service, f"{signal} could not be sent: {said}")
    if check is not None:
        poll(check.check, service, deadline, RELOAD_TIMEOUT, _BACKOFF)


def read_texts(store: Store, directory: str, paths: Iterable[str], deadline: Deadline) -> dict[str, str]:
    """Return path -> content of the text files below a directory of the host. Changes nothing."""
    request = ReadFiles(store.root, directory, tuple(paths), READ_LIMIT)
    found: dict[str, str] = {}
    for path, content in store.call(request, deadline).files.items():
        if content is not None:
            with contextlib.suppress(UnicodeDecodeError):
                found[path] = base64.b64decode(content).decode("utf-8")
    return found


def _reload_check(store: Store, service: str, release: Release, deadline: Deadline) -> ReloadCheck | None:
    contract = contracts().get(service)
    if contract is None:
        return None

    def live_texts() -> dict[str, str]:
        found: dict[str, str] = {}
        for variable, data in release.service_data(service).items():
            directory = f"live/{variable}/.data/{data.digest}"
            found |= read_texts(store, directory, (file.path for file in data.files), deadline)
        return found

    client = tunnel_client(store.connection, contract.facts.port)
    try:
        return contract.reload_check(RunningService(client, release, read_live_texts=live_texts))
    except PASSING as error:
        raise ServiceFailure(service, f"its loaded configuration cannot be read: {error}") from error
