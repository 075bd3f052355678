"""The injected host key: the key of the first connection, as a resource."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider


class HostKeyProvider(ResourceProvider):
    """Create a key pair once; it exists in the state alone."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        # Only a new host needs it, and every engine run imports this module.
        from infra.keys import new_host_key

        pair = new_host_key()
        return CreateResult(
            id_="ed25519", outs={**props, "private_key": pair.private, "public_key": pair.public}
        )

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)


class HostKey(Resource, module="onebox", name="HostKey"):
    """An ed25519 host key pair; its private half is a secret of the state."""

    private_key: pulumi.Output[str]
    public_key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            HostKeyProvider(),
            name,
            {"private_key": None, "public_key": None},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
            ),
        )
