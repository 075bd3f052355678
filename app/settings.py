"""ApiSettings: the environment variables of the service, validated once at the start."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app.errors import SettingsError
from app.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NAMES = (
    "MODEL_V1_WEIGHT",
    "MODEL_V2_WEIGHT",
    "API_PORT",
    "API_WORKERS",
    "LOG_LEVEL",
    "ONEBOX_MODELS_DIR",
    "ONEBOX_STATE_DIR",
    "ONEBOX_DATA_DIR",
    "ONEBOX_MAX_ROWS",
    "ONEBOX_LOG_ROWS",
    "ONEBOX_LOG_DAYS",
    "ONEBOX_API_KEYS_FILE",
    "ONEBOX_ADMIN_KEYS_FILE",
    "API_RATE_LIMIT",
    "API_CORS_ORIGINS",
    "API_TRUSTED_HOSTS",
    "API_ACCESS_LOG",
    "ONEBOX_SERVICE_DIGEST",
)
OWN_PREFIXES = ("MODEL_", "API_")
ACCESS_LOG_MODES = {"off": 1000, "errors": 400, "all": 0}
"""API_ACCESS_LOG -> least status of a request that is logged."""


def private_state_dir(environ: Mapping[str, str]) -> Path:
    """Return the state directory where ONEBOX_STATE_DIR is not set: below XDG_RUNTIME_DIR, else in the checkout.

    The XDG Base Directory Specification has a relative XDG_RUNTIME_DIR ignored.
    """
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute():
        return runtime / "onebox"
    return Path(__file__).resolve().parents[1] / ".onebox" / "api"


@dataclass(frozen=True)
class ApiSettings:
    """Settings of the service, made by `from_environ`; the defaults are those of an empty environment."""

    weights: tuple[int, int] = (50, 50)
    """Shares of v1 and v2, whole numbers 0..100 that are not both 0."""
    models_dir: Path = Path(__file__).parent / "artifacts"
    state_dir: Path = field(default_factory=lambda: private_state_dir(os.environ))
    """Shared memory and registry of the workers; private to this user."""
    service_digest: str = "dev"
    port: int = 5000
    workers: int = 2
    log_level: str = "INFO"
    warnings: tuple[str, ...] = ()
    """One sentence for each unknown variable with one of OWN_PREFIXES."""
    data_dir: Path | None = None
    """Persistent data: the split set at run time, the salt of the assignment, audit log, prediction log. None: below
    state_dir."""
    max_rows: int = 1000
    """Most rows of a batch."""
    log_rows: int = 500_000
    """Most predictions in the log, without those that have a label."""
    log_days: int = 30
    """Days after which a prediction is deleted from the log."""
    keys: Keys | None = None
    """Keys for predictions; None: no key is needed."""
    admin_keys: Keys | None = None
    """Keys to change the split; None: it cannot be changed at run time."""
    rate_limit: int = 0
    """Requests a second for each client; 0: no limit."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may call the API from a browser (CORS)."""
    trusted_hosts: frozenset[str] = frozenset()
    """Host names and addresses by which clients may call the service, without ports; none: any."""
    access_log: str = "errors"
    """Which requests are logged: a key of ACCESS_LOG_MODES."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings of environment variables (NAMES); raise SettingsError with the first wrong one."""
        weights = (
            _whole(environ, "MODEL_V1_WEIGHT", 50, low=0, high=100),
            _whole(environ, "MODEL_V2_WEIGHT", 50, low=0, high=100),
        )
        if sum(weights) == 0:
            raise SettingsError(
                "MODEL_V1_WEIGHT", "MODEL_V1_WEIGHT and MODEL_V2_WEIGHT are both 0, so no model would answer."
            )
        return cls(
            weights=weights,
            models_dir=_directory(environ, "ONEBOX_MODELS_DIR", cls.models_dir),
            state_dir=_directory(environ, "ONEBOX_STATE_DIR", private_state_dir(environ)),
            service_digest=_text(environ, "ONEBOX_SERVICE_DIGEST", cls.service_digest),
            port=_whole(environ, "API_PORT", cls.port, low=1, high=65535),
            workers=_whole(environ, "API_WORKERS", cls.workers, low=1, high=64),
            log_level=_one_of(environ, "LOG_LEVEL", LOG_LEVELS, cls.log_level),
            warnings=tuple(_unknown(environ)),
            data_dir=_file(environ, "ONEBOX_DATA_DIR"),
            keys=Keys.from_file("ONEBOX_API_KEYS_FILE", _file(environ, "ONEBOX_API_KEYS_FILE")),
            admin_keys=Keys.from_file("ONEBOX_ADMIN_KEYS_FILE", _file(environ, "ONEBOX_ADMIN_KEYS_FILE")),
            rate_limit=_whole(environ, "API_RATE_LIMIT", cls.rate_limit, low=0, high=99_999),
            cors_origins=_origins(environ, "API_CORS_ORIGINS"),
            trusted_hosts=_hosts(environ, "API_TRUSTED_HOSTS"),
            access_log=_one_of(environ, "API_ACCESS_LOG", tuple(ACCESS_LOG_MODES), cls.access_log),
            max_rows=_whole(environ, "ONEBOX_MAX_ROWS", cls.max_rows, low=1, high=10_000),
            log_rows=_whole(environ, "ONEBOX_LOG_ROWS", cls.log_rows, low=1000, high=10_000_000),
            log_days=_whole(environ, "ONEBOX_LOG_DAYS", cls.log_days, low=1, high=3650),
        )


def metrics_dir(state_dir: Path) -> Path:
    """Return the directory of all workers' counters."""
    return state_dir / "metrics"


def data_dir(settings: ApiSettings) -> Path:
    """Return the directory of persistent data."""
    return settings.data_dir or settings.state_dir / "data"


def rings_dir(settings: ApiSettings) -> Path:
    """Return the directory of ring buffers, with a subdirectory for each manifest."""
    return data_dir(settings) / "rings"


def _whole(environ: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = environ.get(name)
    if text is None:
        return default
    # int() alone also accepts "1_0", " 1" and digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,8}", text) or not low <= int(text) <= high:
        raise SettingsError(name, f"{name} must be a whole number from {low} to {high}, not {text[:40]!r}.")
    return int(text)


def _text(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name, default)
    if not text.strip():
        raise SettingsError(name, f"{name} is empty.")
    return text


def _directory(environ: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(_text(environ, name, str(default)))


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(_text(environ, name, "")) if name in environ else None


def _origins(environ: Mapping[str, str], name: str) -> frozenset[str]:
    origins = frozenset(environ.get(name, "").split())
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", origin):
            raise SettingsError(
                name,
                f"{name} must be origins such as https://example.com, separated by spaces, not {origin[:40]!r}.",
            )
    return origins


def _hosts(environ: Mapping[str, str], name: str) -> frozenset[str]:
    hosts = frozenset(environ.get(name, "").lower().split())
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]", host):
            raise SettingsError(
                name,
                f"{name} must be host names or addresses without ports, separated by spaces, not {host[:40]!r}.",
            )
    return hosts


def _one_of(environ: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    text = environ.get(name, default)
    found = [choice for choice in allowed if choice.lower() == text.lower()]
    if not found:
        raise SettingsError(name, f"{name} must be one of {', '.join(allowed)}, not {text[:40]!r}.")
    return found[0]


def _unknown(environ: Mapping[str, str]) -> list[str]:
    unknown = sorted(name for name in environ if name.startswith(OWN_PREFIXES) and name not in NAMES)
    warnings = []
    for name in unknown:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        warnings.append(f"{name} is not a setting of this service{hint}")
    return warnings
