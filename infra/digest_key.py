"""The HMAC key of the digests of the services' secrets: random, created once, a secret of the state."""

from __future__ import annotations

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider


class DigestKeyProvider(ResourceProvider):
    """Create a key once; it exists in the state alone."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_="hmac-sha256", outs={**props, "key": secrets.token_hex(32)})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)


class DigestKey(Resource, module="onebox", name="DigestKey"):
    """256 random bits as hex. It outlives the host: a new host gets the same digests."""

    key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            DigestKeyProvider(),
            name,
            {"key": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["key"])),
        )
