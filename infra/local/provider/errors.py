"""Errors of the provider.

ProviderError
├── ConfigurationError   the provider's configuration (`aws:` keys) cannot be used
├── UnknownTokenError           a resource type or a function that this build does not have
├── InvalidArgumentsError       the arguments of a function are wrong; carries one failure a property
├── CloudUnreachableError       nothing answers at the endpoint
├── CloudRefusedError           EC2 answered with an error; carries its code
├── WaitTimeoutError           a state was not reached in time
├── CancelledError              the engine cancelled during a wait
└── NotReadyError     the resource exists, but its creation did not finish

Every error is one sentence; `hint` is the next step, empty where the sentence contains it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VENDOR_VERSION = "7.51.1"


class ProviderError(Exception):
    """Root of the provider's errors."""

    hint = ""

    def sentence(self) -> str:
        """Return the message and, where there is one, the hint: what the engine shows to the user."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class ConfigurationError(ProviderError):
    """A configuration key is unknown, or its value cannot be used."""

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        self.key = key
        self.hint = hint
        super().__init__(message)


class NotLocalError(ConfigurationError):
    """The endpoint is missing or is not on this machine's loopback."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "this build of the AWS provider belongs to the rehearsal and only talks to a local cloud;"
            f" {reason}",
            hint="for a real account remove onebox:awsPluginVersion from the stack's config and install the"
            f" vendor's plugin: pulumi plugin install resource aws v{VENDOR_VERSION}",
            key="endpoints",
        )


class UnknownTokenError(ProviderError):
    """The program uses a type or a function that the rehearsal does not have."""

    def __init__(self, what: str, token: str, known: Sequence[str]) -> None:
        self.token = token
        self.known = tuple(known)
        super().__init__(f"the rehearsal's AWS provider has no {what} {token}{nearest(token, known)}")


class InvalidArgumentsError(ProviderError):
    """Arguments of a function are wrong; `failures` are (property, reason) pairs."""

    def __init__(self, token: str, failures: Sequence[tuple[str, str]]) -> None:
        self.token = token
        self.failures = tuple(failures)
        super().__init__(f"{token}: " + "; ".join(f"{name}: {reason}" for name, reason in failures))


class CloudUnreachableError(ProviderError):
    """No connection to the endpoint, or no answer in time."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        super().__init__(
            f"the local cloud at {endpoint} does not answer;"
            " start it with: make up (or python -m infra.local start)"
        )


class CloudRefusedError(ProviderError):
    """EC2 answered a call with an error."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        self.operation = operation
        self.code = code
        super().__init__(f"EC2 refused {operation} ({code}): {message}")


class WaitTimeoutError(ProviderError):
    """Something did not reach the wanted state within its time."""

    def __init__(self, subject: str, wanted: str, found: str, seconds: float) -> None:
        self.subject = subject
        self.wanted = wanted
        self.found = found
        super().__init__(f"{subject} is {found} and not {wanted} after {seconds:.0f} s")


class CancelledError(ProviderError):
    """The engine cancelled the operation."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        super().__init__(f"cancelled while waiting for {subject}")


class NotReadyError(ProviderError):
    """The resource `id` exists, but a later step of its creation failed with `cause`.

    The engine records it, so that the next `up` continues and `destroy` removes it.
    """

    def __init__(self, id_: str, cause: ProviderError) -> None:
        self.id = id_
        self.cause = cause
        super().__init__(cause.sentence())


def nearest(name: str, known: Sequence[str]) -> str:
    """Return `; the nearest it knows is X` or, where nothing is near, `; it knows: …`, to end a sentence."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"; the nearest it knows is {by_lower[close[0]]}"
    return f"; it knows: {', '.join(sorted(known))}"
