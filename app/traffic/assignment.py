"""Who gets which arm for good: a salted hash of the user's name, as a number in [0, 1). Pure.

The number is compared with the split as a random one would be, so a user keeps the arm while the split stays, and a
change of the split from 10 to 20 % for v2 moves users into v2 and none out of it. The salt makes it another tenth
of the users than in any other experiment. The hash is BLAKE2b: names that differ in one digit give numbers that
have nothing to do with each other, which is not so with FNV or CRC.
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


def place(user: str, salt: bytes) -> float:
    """The user's place in [0, 1): the same for the same salt, in every process and on every machine."""
    digest = blake2b(user.encode("utf-8", "surrogateescape"), digest_size=8, key=salt).digest()
    # The last value of 64 bits would be rounded up to 1.
    return min(int.from_bytes(digest, "big") / _SPAN, 1 - 2**-53)


def user_of(header: str | None, cookies: str | None) -> str | None:
    """The user that a request names: by X-User-Id, else by the cookie; None when it names none.

    Raises InvalidRequestError for a name that is empty, too long or not printable.
    """
    if header is None:
        found = _COOKIE.search(cookies) if cookies else None
        if found is None:
            return None
        # A browser sends back what it was given: a broken cookie is not this request's fault.
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
