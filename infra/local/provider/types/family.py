"""The operations of every resource type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.schema.schema import ResourceType
    from infra.local.provider.wire import Properties


class Family(Protocol):
    """The life of the resources of one type. Inputs are checked and fully known."""

    @property
    def kind(self) -> ResourceType:
        """Return the schema of the type."""

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        """Create it, wait up to `seconds` until it is ready, and return its id.

        Raises NotReadyError when it exists but a later step failed.
        """

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        """Return its properties as EC2 has them, inputs and outputs together; None when it is gone.

        `known` are its last known inputs: where EC2's form of a value equals the program's, that one is kept.
        """

    def update(
        self, cloud: Cloud, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any], seconds: float
    ) -> None:
        """Update it from the old to the new inputs, without replacing it."""

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        """Remove it and wait until it is gone; idempotent."""
