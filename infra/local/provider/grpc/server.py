"""The gRPC service of the provider: the engine's requests, answered by check, diff and the resource families."""

# The names are gRPC's, and every method gets the request and its context.
# ruff: noqa: N802, ARG002

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from infra.local.provider import VERSION, wire
from infra.local.provider.config import ProviderConfig
from infra.local.provider.ec2.client import Cloud
from infra.local.provider.errors import (
    CancelledError,
    CloudRefusedError,
    CloudUnreachableError,
    ConfigurationError,
    InvalidArgumentsError,
    NotReadyError,
    ProviderError,
    UnknownTokenError,
)
from infra.local.provider.schema.check import check_properties, check_resource
from infra.local.provider.schema.diff import Change, Comparison, PropertyChange, compare
from infra.local.provider.schema.state import planned, planned_update, refreshed_inputs, secret_names, stored
from infra.local.provider.types.registry import FAMILIES, FUNCTIONS, LOOKUPS

if TYPE_CHECKING:
    from infra.local.provider.schema.schema import ResourceType
    from infra.local.provider.types.family import Family

_DEFAULT_SECONDS: Final = 300.0

Answer = TypeVar("Answer")
Method = Callable[["Provider", Any, Any], Answer]

_STATUS: Final[Mapping[type[ProviderError], grpc.StatusCode]] = {
    ConfigurationError: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownTokenError: grpc.StatusCode.INVALID_ARGUMENT,
    CloudUnreachableError: grpc.StatusCode.UNAVAILABLE,
    CancelledError: grpc.StatusCode.CANCELLED,
}
_KINDS: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def _with_status(method: Method[Answer]) -> Method[Answer]:
    """Turn a provider error into a gRPC status whose message is the error's sentence."""

    @functools.wraps(method)
    def answer(self: Provider, request: Any, context: Any) -> Answer:
        try:
            return method(self, request, context)
        except ProviderError as error:
            code = next(
                (code for kind, code in _STATUS.items() if isinstance(error, kind)), grpc.StatusCode.UNKNOWN
            )
            context.abort(code, error.sentence())
            raise

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process: configured once, then called from several threads."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._cloud: Cloud | None = None

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    @_with_status
    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Refuse invalid settings; a setting that is still unknown is left to Configure."""
        news = wire.decode(request.news).values
        failures = []
        if not wire.holds_unknown(news):
            try:
                ProviderConfig.from_args(news)
            except ConfigurationError as error:
                failures = [provider_pb2.CheckFailure(property=error.key, reason=error.sentence())]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Never replace: another endpoint or other keys update the same provider."""
        same = wire.decode(request.old_inputs).values == wire.decode(request.news).values
        changes = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=changes)

    @_with_status
    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        config = ProviderConfig.from_args(wire.decode(request.args).values)
        self._cloud = Cloud(config, self._cancelled)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    @_with_status
    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        kind, name = _type_of(request.urn), request.urn.rsplit("::", 1)[-1]
        news = wire.decode(request.news)
        checked = check_resource(
            kind, news.values, wire.decode(request.olds).values, name, request.randomSeed
        )
        return provider_pb2.CheckResponse(
            inputs=wire.encode(checked.inputs, news.secrets) if not checked.failures else request.news,
            failures=[
                provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in checked.failures
            ],
        )

    @_with_status
    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        kind = _type_of(request.urn)
        found = _compare(kind, request)
        changed = bool(found.changes)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=found.replaces,
            stables=kind.stable,
            deleteBeforeReplace=found.delete_first,
            diffs=sorted(found.changed),
            detailedDiff={change.path: _property_diff(change) for change in found.changes},
            hasDetailedDiff=True,
        )

    @_with_status
    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        kind, inputs = _type_of(request.urn), wire.decode(request.properties)
        sealed = secret_names(inputs.secrets)
        cloud = self._configured()
        if request.preview:
            outputs = planned(kind, inputs.values, cloud.config.default_tags)
            return provider_pb2.CreateResponse(properties=wire.encode(outputs, sealed))
        family = FAMILIES[kind.token]
        try:
            id_ = family.create(cloud, inputs.values, request.timeout or _DEFAULT_SECONDS)
            outputs = _outputs(kind, family, cloud, id_, inputs.values)
        except NotReadyError as error:
            _attach_unfinished(
                context, error, wire.encode(stored(kind, inputs.values, {}), sealed), request.properties
            )
            raise
        return provider_pb2.CreateResponse(id=id_, properties=wire.encode(outputs, sealed))

    @_with_status
    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        kind, known = _type_of(request.urn), wire.decode(request.inputs)
        sealed = secret_names(known.secrets | wire.decode(request.properties).secrets)
        live = FAMILIES[kind.token].read(self._configured(), request.id, known.values)
        if live is None:
            return provider_pb2.ReadResponse()
        inputs = refreshed_inputs(kind, known.values, live)
        outputs = stored(kind, inputs, live)
        return provider_pb2.ReadResponse(
            id=request.id, properties=wire.encode(outputs, sealed), inputs=wire.encode(inputs, sealed)
        )

    @_with_status
    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        kind, news = _type_of(request.urn), wire.decode(request.news)
        sealed = secret_names(news.secrets)
        cloud = self._configured()
        if request.preview:
            olds = wire.decode(request.olds).values
            changed = _compare(kind, request).changed
            outputs = planned_update(kind, olds, news.values, changed, cloud.config.default_tags)
            return provider_pb2.UpdateResponse(properties=wire.encode(outputs, sealed))
        family = FAMILIES[kind.token]
        olds = wire.decode(request.old_inputs).values
        family.update(cloud, request.id, olds, news.values, request.timeout or _DEFAULT_SECONDS)
        outputs = _outputs(kind, family, cloud, request.id, news.values)
        return provider_pb2.UpdateResponse(properties=wire.encode(outputs, sealed))

    @_with_status
    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        family = FAMILIES[_type_of(request.urn).token]
        family.delete(self._configured(), request.id, request.timeout or _DEFAULT_SECONDS)
        return empty_pb2.Empty()

    @_with_status
    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        function = FUNCTIONS.get(request.tok)
        if function is None:
            raise UnknownTokenError("function", request.tok, list(FUNCTIONS))
        checked = check_properties(function.inputs, wire.decode(request.args).values)
        failures = checked.failures
        answer = provider_pb2.InvokeResponse()
        if not failures:
            try:
                found = LOOKUPS[request.tok](self._configured(), checked.inputs)
                getattr(answer, "return").CopyFrom(wire.encode(found))
            except InvalidArgumentsError as error:
                failures = list(error.failures)
        answer.failures.extend(
            provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures
        )
        return answer

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """End every wait; the requests that wait fail as cancelled."""
        self._cancelled.set()
        return empty_pb2.Empty()

    def _configured(self) -> Cloud:
        if self._cloud is None:
            raise ConfigurationError("the provider was called before it was configured")
        return self._cloud


def _type_of(urn: str) -> ResourceType:
    """Return the type in a URN `urn:pulumi:stack::project::parent$type::name`."""
    token = urn.split("::")[2].rsplit("$", 1)[-1]
    if token not in FAMILIES:
        raise UnknownTokenError("resource type", token, list(FAMILIES))
    return FAMILIES[token].kind


def _compare(kind: ResourceType, request: Any) -> Comparison:
    ignored = frozenset(path.split(".", 1)[0].split("[", 1)[0] for path in request.ignoreChanges)
    return compare(kind, wire.decode(request.old_inputs).values, wire.decode(request.news).values, ignored)


def _property_diff(change: PropertyChange) -> provider_pb2.PropertyDiff:
    return provider_pb2.PropertyDiff(kind=_KINDS[change.change, change.replaces], inputDiff=True)


def _outputs(
    kind: ResourceType, family: Family, cloud: Cloud, id_: str, inputs: Mapping[str, Any]
) -> wire.Properties:
    try:
        live = family.read(cloud, id_, inputs)
    except ProviderError as error:
        raise NotReadyError(id_, error) from error
    if live is None:
        raise CloudRefusedError("reading a new resource", "NotFound", f"{kind.token} {id_} no longer exists")
    return stored(kind, inputs, live)


def _attach_unfinished(
    context: Any, error: NotReadyError, outputs: struct_pb2.Struct, inputs: struct_pb2.Struct
) -> None:
    """Attach the resource that exists to the status of the failure: the engine then records it."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=outputs, inputs=inputs, reasons=[str(error)]
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
