"""What a request's headers say about who shall answer it, typed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.errors import InvalidRequestError
from app.manifest import VERSIONS
from app.traffic.assignment import USER_HEADER, user_of

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION_HEADER = "X-Model-Version"
SYNTHETIC_HEADER = "X-Synthetic"
_FLAG = {"1": True, "true": True, "0": False, "false": False}


class Asked(NamedTuple):
    """Who asks, and for what."""

    user: str | None = None
    """Name that keeps its arm; None: by chance."""
    forced: str | None = None
    """Version that must answer."""
    synthetic: bool = False
    """Not a real user's question: counted, but in no drift window and no experiment."""


NOBODY = Asked()


def asked(header: Callable[[str], str | None]) -> Asked:
    """What the headers of a prediction ask for; `header` gives a header's value by name, or None.

    Raises InvalidRequestError for a value that cannot be followed.
    """
    user = user_of(header(USER_HEADER), header("Cookie"))
    forced = header(VERSION_HEADER)
    flag = header(SYNTHETIC_HEADER)
    if user is None and forced is None and flag is None:
        return NOBODY
    if forced is not None and forced not in VERSIONS:
        raise InvalidRequestError(
            422, "bad_header", f"{VERSION_HEADER} must be one of {', '.join(VERSIONS)}", VERSION_HEADER
        )
    synthetic = False
    if flag is not None:
        known = _FLAG.get(flag)
        if known is None:
            raise InvalidRequestError(
                422, "bad_header", f"{SYNTHETIC_HEADER} must be 1 or 0, true or false", SYNTHETIC_HEADER
            )
        synthetic = known
    return Asked(user, forced, synthetic or forced is not None)
