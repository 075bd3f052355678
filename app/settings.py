"""ApiSettings: everything the service reads from its environment, checked once at the start."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app.errors import SettingsError
from app.http.access_log import ERRORS, MODES
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


@dataclass(frozen=True)
class ApiSettings:
    """How one API service runs. Make it with `from_environ`; the defaults are those of an empty environment."""

    weights: tuple[int, int] = (50, 50)
    """Shares of v1 and v2, whole numbers 0..100 that are not both 0."""
    models_dir: Path = Path(__file__).parent / "artifacts"
    state_dir: Path = Path("/tmp/onebox")  # noqa: S108 - the container's tmpfs; made 0700 before use
    """Counters and rings, shared by the workers."""
    service_digest: str = "dev"
    port: int = 5000
    workers: int = 2
    log_level: str = "INFO"
    warnings: tuple[str, ...] = ()
    """One sentence for each variable that looks like ours and is not."""
    data_dir: Path | None = None
    """What outlives the service: the split set at run time, the salt of the assignment, the audit log. None: below
    state_dir."""
    max_rows: int = 1000
    """Rows that a batch may have."""
    log_rows: int = 500_000
    """Predictions that the log keeps at most, beside those that have a label."""
    log_days: int = 30
    """Days that it keeps any of them."""
    keys: Keys | None = None
    """Who may ask for predictions; None: everybody."""
    admin_keys: Keys | None = None
    """Who may change the split; None: nobody."""
    rate_limit: int = 0
    """Requests a second for each client; 0: any number."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may call the API from a browser."""
    trusted_hosts: frozenset[str] = frozenset()
    """Names and addresses by which clients may call the service, without ports; none: any."""
    access_log: str = ERRORS
    """Which requests leave a line: see `app.http.access_log.MODES`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Settings from environment variables (see NAMES); raises SettingsError naming the first that is wrong."""
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
            state_dir=_directory(environ, "ONEBOX_STATE_DIR", cls.state_dir),
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
            access_log=_one_of(environ, "API_ACCESS_LOG", MODES, cls.access_log),
            max_rows=_whole(environ, "ONEBOX_MAX_ROWS", cls.max_rows, low=1, high=10_000),
            log_rows=_whole(environ, "ONEBOX_LOG_ROWS", cls.log_rows, low=1000, high=10_000_000),
            log_days=_whole(environ, "ONEBOX_LOG_DAYS", cls.log_days, low=1, high=3650),
        )


def metrics_dir(state_dir: Path) -> Path:
    """Where the counters of all workers are."""
    return state_dir / "metrics"


def data_dir(settings: ApiSettings) -> Path:
    """Where what outlives the service is kept."""
    return settings.data_dir or settings.state_dir / "data"


def rings_dir(settings: ApiSettings) -> Path:
    """Where the rings of answered rows are, in a directory for each manifest."""
    return data_dir(settings) / "rings"


def _whole(environ: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = environ.get(name)
    if text is None:
        return default
    # int() alone also takes "1_0", " 1" and digits of other scripts.
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
    strangers = sorted(name for name in environ if name.startswith(OWN_PREFIXES) and name not in NAMES)
    warnings = []
    for name in strangers:
        near = difflib.get_close_matches(name, NAMES, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        warnings.append(f"{name} is not a setting of this service{meant}")
    return warnings
