"""Authentication by keys, of which only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from app.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"[0-9a-f]{64}")


class Keys:
    """A set of keys; several, so that a key can be rotated without an interruption."""

    def __init__(self, digests: tuple[str, ...]) -> None:
        self._digests = digests

    @classmethod
    def from_file(cls, setting: str, path: Path | None) -> Keys | None:
        """Read a file with one SHA-256 in hexadecimal a line; None without a file or without a line.

        Raise SettingsError for any other line: it may be a key in plain text.
        """
        if path is None:
            return None
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except OSError as error:
            raise SettingsError(setting, f"{setting} cannot be read: {error.strerror}.") from error
        digests = tuple(line for line in lines if line)
        if not all(_LINE.fullmatch(digest) for digest in digests):
            raise SettingsError(
                setting,
                f"{setting} holds a line that is not the SHA-256 of a key (64 lower-case hexadecimal digits).",
            )
        return cls(digests) if digests else None

    def name_of(self, presented: str | None) -> str | None:
        """Return the first 8 digits of the presented key's SHA-256; None for an unknown key.

        Every key is compared in constant time, so that the time does not reveal a key.
        """
        if presented is None:
            return None
        found = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        known = [digest for digest in self._digests if hmac.compare_digest(digest, found)]
        return known[0][:8] if known else None


def presented(authorization: str | None, api_key: str | None) -> str | None:
    """Return the key of a request, `Authorization: Bearer KEY` or `X-API-Key: KEY`; None without one."""
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        return key.strip() if scheme.lower() == "bearer" and key.strip() else None
    return api_key or None
