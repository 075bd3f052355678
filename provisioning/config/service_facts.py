"""Declared facts of the services that ship with this repository: what layers below their checks need to know.

A service whose port the security group never opens needs no line here: see `provisioning/services/registry.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveDataFacts:
    """A live data directory: the compose file's variable for it, and the noun that messages use."""

    variable: str
    noun: str = "data"
    made_by: str = ""
    """Command that fills the directory; empty for files that are in the repository."""


@dataclass(frozen=True)
class ServiceFacts:
    """What is known of a service before it runs. Paths are those of HTTP requests to its port."""

    name: str
    """Name in the compose file."""
    port: int
    """TCP port in the container and, published, on the host."""
    health: str
    """Answers 200 while the service is ready."""
    metrics: str = ""
    """Answers in Prometheus' text format; empty for none."""
    live_data: tuple[LiveDataFacts, ...] = ()
    opened_as: str = ""
    """The port's name in the stack's configuration (`<name>Cidrs`) and outputs (`<name>_url`); empty: never open."""


API_CODE = LiveDataFacts("ONEBOX_API_CODE_DIR", "code")
MODELS = LiveDataFacts("ONEBOX_MODELS_DIR", "models", made_by="python app/train_model.py")
UI_CODE = LiveDataFacts("ONEBOX_UI_CODE_DIR", "pages")
MONITORING = LiveDataFacts("ONEBOX_MONITORING_DIR")

API = ServiceFacts("flask-api", 5000, "/ready", "/metrics", (API_CODE, MODELS), opened_as="api")
UI = ServiceFacts("streamlit-ui", 8501, "/_stcore/health", live_data=(UI_CODE,), opened_as="ui")
PROMETHEUS = ServiceFacts("prometheus", 9090, "/-/ready", "/metrics", (MONITORING,), opened_as="prometheus")

SERVICES = (API, UI, PROMETHEUS)

PUBLIC_PORTS = {"ssh": 22} | {service.opened_as: service.port for service in SERVICES if service.opened_as}
"""Name in the stack's configuration -> port that the security group can open."""

_LIVE_DATA = {data.variable: data for service in SERVICES for data in service.live_data}


def live_data_facts(variable: str) -> LiveDataFacts:
    """Return what is declared of the data directory behind a variable; of an undeclared one, the defaults."""
    return _LIVE_DATA.get(variable, LiveDataFacts(variable))
