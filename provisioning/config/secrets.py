"""Secret values of the services, and keyed hashes that distinguish values without revealing them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from provisioning.errors import SettingsError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_MOST_BYTES = 64 * 1024
_SHORTEST_KEY = 32
_FIELD = "service_secrets"


@dataclass(frozen=True)
class ServiceSecrets:
    """Values by the names that the compose file gives them. Neither they nor the key show in `repr`.

    `key` is a secret of the stack. A mark is an HMAC (RFC 2104) under it, so a published digest does not help to
    guess a value. Raises SettingsError, which never holds a value.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if not _NAME.fullmatch(name):
                raise SettingsError(_FIELD, f"{name!r} is not the name of a secret")
            if not value.strip():
                raise SettingsError(_FIELD, f"the secret {name} is empty")
            if "\0" in value or len(value.encode()) > _MOST_BYTES:
                raise SettingsError(_FIELD, f"the secret {name} holds a NUL or is larger than 64 KiB")
        if self.values and len(self.key) < _SHORTEST_KEY:
            raise SettingsError(
                _FIELD,
                "the services have secrets, but the stack has no key for their digests",
                hint="Run `pulumi up` once: it creates the key in the stack's state.",
            )
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def mark(self, name: str) -> str:
        """Return the HMAC-SHA-256 (hex) of the name and its value."""
        text = json.dumps([name, self.values[name]]).encode()
        return hmac.new(self.key.encode(), text, hashlib.sha256).hexdigest()


NO_SECRETS = ServiceSecrets()
