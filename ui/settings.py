"""The UI's settings, read once from the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from ui.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_API_URL = "http://localhost:5000"
_KEY = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True)
class UiSettings:
    """Where the API is, and how long to wait for it (seconds)."""

    api_url: str = DEFAULT_API_URL
    connect_timeout: float = 2.0
    answer_timeout: float = 10.0
    api_key: str | None = field(default=None, repr=False)
    """What the API asks for where it has keys; None where it has none."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings of this process; API_URL left out or empty means the default.

        Raises SettingsError for an API_URL that is no plain http(s) address, and for a key file that holds
        no key.
        """
        return cls(
            api_url=_api_url(environ.get("API_URL", "").strip() or DEFAULT_API_URL),
            api_key=_api_key(environ.get("ONEBOX_UI_API_KEY_FILE", "")),
        )


def _api_url(text: str) -> str:
    try:
        url = urlsplit(text)
        # urlsplit checks the port only when it is asked for it.
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        # The value may hold a password, so it is not repeated.
        raise SettingsError("API_URL", "API_URL is not an address such as http://flask-api:5000.")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise SettingsError("API_URL", "API_URL must not hold a user, a password, a query or a fragment.")
    return text.rstrip("/")


def _api_key(file: str) -> str | None:
    """The key in a file; None where no file is named, or it is empty. Never shows in a message."""
    if not file:
        return None
    try:
        key = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("ONEBOX_UI_API_KEY_FILE", "ONEBOX_UI_API_KEY_FILE cannot be read.") from error
    if key and not _KEY.fullmatch(key):
        raise SettingsError(
            "ONEBOX_UI_API_KEY_FILE", "ONEBOX_UI_API_KEY_FILE must hold one key and nothing else."
        )
    return key or None
