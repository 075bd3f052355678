"""Settings of the UI, read once from the environment."""

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
    """Address of the API and timeouts (seconds)."""

    api_url: str = DEFAULT_API_URL
    connect_timeout: float = 2.0
    answer_timeout: float = 10.0
    api_key: str | None = field(default=None, repr=False)
    """What the API asks for where it has keys; None where it has none."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings of this process; a missing or empty API_URL means the default.

        Raise SettingsError for an API_URL that is not a plain http(s) address, and for a key file without
        a key.
        """
        return cls(
            api_url=_api_url(environ.get("API_URL", "").strip() or DEFAULT_API_URL),
            api_key=_api_key(environ.get("ONEBOX_UI_API_KEY_FILE", "")),
        )


def _api_url(text: str) -> str:
    try:
        url = urlsplit(text)
        # urlsplit checks the port only when it is read.
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        # The value may contain a password, so the message omits it.
        raise SettingsError("API_URL", "API_URL is not an address such as http://flask-api:5000.")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise SettingsError("API_URL", "API_URL must not hold a user, a password, a query or a fragment.")
    return text.rstrip("/")


def _api_key(file: str) -> str | None:
    """Return the key in a file; None if no file is named or it is empty. No message contains it."""
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
