"""Drives the provider's servicer object as the engine would, without an engine and without a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulumi.runtime.proto import provider_pb2

from infra.local.provider import wire
from infra.local.provider.grpc.server import Provider
from infra.local.provider.types.registry import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REGION = "eu-central-1"
TOKENS = {token.rsplit(":", 1)[-1]: token for token in FAMILIES}


class Aborted(Exception):
    """The call ended with a gRPC status."""

    def __init__(self, code: Any, details: str) -> None:
        self.code = code
        super().__init__(details)


class Context:
    """As much of a gRPC context as the provider uses."""

    def set_trailing_metadata(self, metadata: object) -> None:
        """What stands beside a status is looked at through a real channel."""

    def abort(self, code: Any, details: str) -> None:
        raise Aborted(code, details)


@dataclass
class Resource:
    """A deployed resource as the engine's state holds it."""

    urn: str
    id: str
    inputs: wire.Properties
    outputs: wire.Properties
    raw_outputs: Any = None


@dataclass
class Engine:
    """Check, then create, diff, update, refresh, delete: the engine's order of calls."""

    endpoint: str
    default_tags: dict[str, str] = field(default_factory=dict)
    provider: Provider = field(default_factory=Provider)

    def __post_init__(self) -> None:
        settings = {
            "region": REGION,
            "endpoints": f'[{{"ec2": "{self.endpoint}"}}]',
            "skipCredentialsValidation": "true",
            "defaultTags": {"tags": self.default_tags},
        }
        request = provider_pb2.ConfigureRequest(args=wire.encode(settings), acceptSecrets=True)
        self.provider.Configure(request, Context())

    def check(
        self,
        kind: str,
        given: Mapping[str, Any],
        olds: Mapping[str, Any] | None = None,
        secrets: Collection[str] = (),
        name: str = "it",
    ) -> Any:
        request = provider_pb2.CheckRequest(
            urn=urn_of(kind, name), news=wire.encode(given, secrets), olds=wire.encode(olds or {})
        )
        return self.provider.Check(request, Context())

    def checked(
        self, kind: str, given: Mapping[str, Any], olds: Mapping[str, Any] | None = None
    ) -> wire.Properties:
        answer = self.check(kind, given, olds)
        assert not answer.failures, answer.failures
        return wire.decode(answer.inputs).values

    def create(self, kind: str, given: Mapping[str, Any], secrets: Collection[str] = ()) -> Resource:
        inputs = self.checked(kind, given)
        urn = urn_of(kind)
        request = provider_pb2.CreateRequest(urn=urn, properties=wire.encode(inputs, secrets), timeout=20)
        answer = self.provider.Create(request, Context())
        return Resource(urn, answer.id, inputs, wire.decode(answer.properties).values, answer.properties)

    def preview(self, kind: str, given: Mapping[str, Any]) -> wire.Properties:
        inputs = self.checked(kind, given)
        request = provider_pb2.CreateRequest(urn=urn_of(kind), properties=wire.encode(inputs), preview=True)
        answer = self.provider.Create(request, Context())
        assert not answer.id
        return wire.decode(answer.properties).values

    def diff(self, resource: Resource, given: Mapping[str, Any]) -> Any:
        news = self.checked(resource.urn.split("::")[2].rsplit(":", 1)[-1], given, resource.inputs)
        request = provider_pb2.DiffRequest(
            id=resource.id,
            urn=resource.urn,
            olds=wire.encode(resource.outputs),
            old_inputs=wire.encode(resource.inputs),
            news=wire.encode(news),
        )
        return self.provider.Diff(request, Context())

    def update(self, resource: Resource, given: Mapping[str, Any], preview: bool = False) -> Resource:
        kind = resource.urn.split("::")[2].rsplit(":", 1)[-1]
        news = self.checked(kind, given, resource.inputs)
        request = provider_pb2.UpdateRequest(
            id=resource.id,
            urn=resource.urn,
            olds=wire.encode(resource.outputs),
            old_inputs=wire.encode(resource.inputs),
            news=wire.encode(news),
            timeout=20,
            preview=preview,
        )
        answer = self.provider.Update(request, Context())
        return Resource(resource.urn, resource.id, news, wire.decode(answer.properties).values)

    def refresh(self, resource: Resource) -> Resource | None:
        request = provider_pb2.ReadRequest(
            id=resource.id,
            urn=resource.urn,
            properties=wire.encode(resource.outputs),
            inputs=wire.encode(resource.inputs),
        )
        answer = self.provider.Read(request, Context())
        if not answer.id:
            return None
        inputs, outputs = wire.decode(answer.inputs).values, wire.decode(answer.properties).values
        return Resource(resource.urn, answer.id, inputs, outputs)

    def delete(self, resource: Resource, seconds: float = 10) -> None:
        request = provider_pb2.DeleteRequest(id=resource.id, urn=resource.urn, timeout=seconds)
        self.provider.Delete(request, Context())

    def invoke(self, token: str, given: Mapping[str, Any]) -> Any:
        return self.provider.Invoke(provider_pb2.InvokeRequest(tok=token, args=wire.encode(given)), Context())


def urn_of(kind: str, name: str = "it") -> str:
    """The URN of a resource whose type is given by its last word (`Instance`), or by a whole token."""
    return f"urn:pulumi:dev::project::parent:index:Component${TOKENS.get(kind, kind)}::{name}"
