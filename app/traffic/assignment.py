"""Sticky assignment of users to model versions: a salted hash of the user's name, as a number in [0, 1). Pure.

The number takes the place of a random draw, so a user keeps the version while the split stays, and a change of the
split from 10 to 20 % for v2 moves users to v2 and none away from it. The salt makes assignments of different
experiments independent. The hash is BLAKE2b (RFC 7693): unlike FNV and CRC it maps similar names to unrelated numbers.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from app.errors import InvalidRequestError

USER_HEADER = "X-User-Id"
COOKIE = "onebox_user"
MOST_CHARACTERS = 128
_COOKIE = re.compile(rf'(?:^|;)\s*{COOKIE}="?([^";]*)"?\s*(?:;|$)')
_SPAN = 2.0**64


def position(user: str, salt: bytes) -> float:
    """Return the user's position in [0, 1): the same for the same salt, in every process and on every machine."""
    digest = blake2b(user.encode("utf-8", "surrogateescape"), digest_size=8, key=salt).digest()
    # Rounding would make 1 of the last value of 64 bits.
    return min(int.from_bytes(digest, "big") / _SPAN, 1 - 2**-53)


def user_of(header: str | None, cookies: str | None) -> str | None:
    """Return the user of a request: X-User-Id, else the cookie; None without either.

    Raise InvalidRequestError for an X-User-Id that is empty, too long or not printable.
    """
    if header is None:
        found = _COOKIE.search(cookies) if cookies else None
        if found is None:
            return None
        # A browser repeats the cookie that it has, so an unusable one is no error of this request.
        name = found[1].strip()
        return name if 0 < len(name) <= MOST_CHARACTERS and name.isprintable() else None
    if not 0 < len(header) <= MOST_CHARACTERS or not header.isprintable():
        raise InvalidRequestError(
            422,
            "bad_header",
            f"{USER_HEADER} must be from 1 to {MOST_CHARACTERS} printable characters",
            USER_HEADER,
        )
    return header
