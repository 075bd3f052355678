"""Smoke test: after a rollout, send each service a few requests, through its public port where that is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from provisioning.deadline import Deadline
from provisioning.release.manifest import Release
from provisioning.services.client import public_client, tunnel_client
from provisioning.services.contract import RunningService
from provisioning.services.polling import Backoff, poll
from provisioning.services.registry import contracts
from provisioning.ssh import Connection

_BACKOFF = Backoff(first=0.05, longest=0.5, factor=2)


def smoke(
    connection: Connection,
    release: Release,
    open_ports: frozenset[int],
    deadline: Deadline,
    touched: Collection[str],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Test every service of the release that has a contract; return warnings about ports that should be open.

    `touched` are the services that were recreated or reloaded. Raises ServiceFailure for the first service that
    keeps responding wrongly.
    """
    found = contracts()
    warnings: list[str] = []
    for contract in (found[name] for name in release.services if name in found):
        name, port = contract.facts.name, contract.facts.port
        client, warning = (
            public_client(connection, port) if port in open_ports else (tunnel_client(connection, port), "")
        )
        if warning:
            warnings.append(warning)
        check = partial(contract.smoke_test, RunningService(client, release, name in touched))
        poll(check, name, deadline, contract.smoke_timeout, _BACKOFF, sleep=sleep)
    return tuple(warnings)
