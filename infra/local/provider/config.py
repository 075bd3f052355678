"""The provider's configuration: the `aws:` keys of the stack, typed and checked."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from infra.local.provider.errors import ConfigurationError, NotLocalError, nearest

_SKIPS: Final = (
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRequestingAccountId",
    "skipRegionValidation",
)
_OF_THE_ENGINE: Final = ("version", "pluginDownloadURL")
KNOWN_KEYS: Final = ("region", "endpoints", "accessKey", "secretKey", "defaultTags", *_SKIPS)
_PLACEHOLDER: Final = "rehearsal"


@dataclass(frozen=True)
class ProviderConfig:
    """Where the local cloud is and how to speak to it.

    Keys that are not configured are a constant: the environment's credentials never go to the local cloud.
    """

    region: str
    endpoint: str
    access_key: str = field(default=_PLACEHOLDER, repr=False)
    secret_key: str = field(default=_PLACEHOLDER, repr=False)
    default_tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Self:
        """Return the configuration as the engine passes it: plain values, nested ones also as JSON text.

        Raises ConfigurationError for a key it does not know or a value it cannot use, NotLocalError where
        the EC2 endpoint is missing or is not a loopback address.
        """
        for key in args:
            if key not in KNOWN_KEYS and key not in _OF_THE_ENGINE:
                raise ConfigurationError(
                    f"the rehearsal's provider does not know the setting aws:{key}{nearest(key, KNOWN_KEYS)}",
                    key=key,
                )
        for key in _SKIPS:
            _flag(key, args.get(key, True))
        region = args.get("region")
        if not isinstance(region, str) or not region:
            raise ConfigurationError(
                "aws:region is not set", hint="pulumi config set aws:region eu-central-1", key="region"
            )
        return cls(
            region=region,
            endpoint=_endpoint(_nested("endpoints", args.get("endpoints"))),
            access_key=_word("accessKey", args),
            secret_key=_word("secretKey", args),
            default_tags=_default_tags(_nested("defaultTags", args.get("defaultTags"))),
        )


def _nested(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ConfigurationError(f"aws:{key} is neither a structure nor JSON", key=key) from None


def _flag(key: str, value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise ConfigurationError(f"aws:{key} must be true or false", key=key)


def _word(key: str, args: Mapping[str, Any]) -> str:
    value = args.get(key, _PLACEHOLDER)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"aws:{key} must be a string that is not empty", key=key)
    return value


def _endpoint(endpoints: Any) -> str:
    if isinstance(endpoints, Mapping):
        endpoints = [endpoints]
    if not isinstance(endpoints, list) or not all(isinstance(item, Mapping) for item in endpoints):
        raise NotLocalError("aws:endpoints has no ec2 address")
    named = {service: url for item in endpoints for service, url in item.items() if url}
    strangers = sorted(set(named) - {"ec2"})
    if strangers:
        raise ConfigurationError(
            f"aws:endpoints has {strangers[0]}, but the rehearsal only speaks to ec2", key="endpoints"
        )
    url = named.get("ec2")
    if not isinstance(url, str):
        raise NotLocalError("aws:endpoints has no ec2 address")
    if not _is_loopback(url):
        raise NotLocalError(f"{url} is not an http address on this machine's loopback")
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _default_tags(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    tags = value.get("tags", {}) if isinstance(value, Mapping) and set(value) <= {"tags"} else None
    if not isinstance(tags, Mapping) or not all(isinstance(text, str) for text in tags.values()):
        raise ConfigurationError("aws:defaultTags must be {tags: {name: text}}", key="defaultTags")
    return dict(tags)
