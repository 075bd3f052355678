"""Parse the request headers that influence the assignment of a model version. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.errors import InvalidRequestError
from app.manifest import VERSIONS
from app.traffic.assignment import USER_HEADER, user_of

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION_HEADER = "X-Model-Version"
SYNTHETIC_HEADER = "X-Synthetic"
HINT_HEADERS = frozenset({USER_HEADER, "Cookie", VERSION_HEADER, SYNTHETIC_HEADER})
"""Headers without any of which there are no hints."""
_FLAG = {"1": True, "true": True, "0": False, "false": False}


class RoutingHints(NamedTuple):
    """The hints of one request."""

    user: str | None = None
    """User with a sticky assignment; None: a random one."""
    forced: str | None = None
    """Version that must answer."""
    synthetic: bool = False
    """Whether it is no real user's request: counted, but in no drift window and no experiment."""


NO_HINTS = RoutingHints()


def routing_hints(header: Callable[[str], str | None]) -> RoutingHints:
    """Return the hints of a prediction request. header: returns a header's value by name, or None.

    Raise InvalidRequestError for a value that is not allowed.
    """
    user = user_of(header(USER_HEADER), header("Cookie"))
    forced = header(VERSION_HEADER)
    flag = header(SYNTHETIC_HEADER)
    if user is None and forced is None and flag is None:
        return NO_HINTS
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
    return RoutingHints(user, forced, synthetic or forced is not None)
