"""Find the contract of a service by its name in the compose file.

A module of this package that has a `CONTRACT` is the contract of the service that its facts name; nothing else
lists it. A service without one gets Docker's health check alone. Its facts stand beside its checks, unless a
layer below needs them: the port that the security group opens, the noun of its live data.
"""

from __future__ import annotations

import importlib
import pkgutil

from provisioning import services
from provisioning.services.contract import ServiceContract


def contracts() -> dict[str, ServiceContract]:
    """Return the contract of every service that has one, by the service's name."""
    found: dict[str, ServiceContract] = {}
    for module in pkgutil.iter_modules(services.__path__, f"{services.__name__}."):
        contract: ServiceContract | None = getattr(importlib.import_module(module.name), "CONTRACT", None)
        if contract is not None:
            found[contract.facts.name] = contract
    return found
