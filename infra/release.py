"""The release as a resource: preview shows its plan, up pushes it, refresh detects drift, destroy ends the services.

The library in `provisioning` does all work on the host; this module decides when, and what the state keeps. The
state holds the names of these classes, not their code: an edit here does not change the stack, a move does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.preview import previewed
from provisioning.config.login import Login
from provisioning.config.project import find_project_root
from provisioning.config.settings import PushSettings, Target
from provisioning.errors import ProvisioningError
from provisioning.events import Event, StepFailed, StepFinished, WarningGiven

if TYPE_CHECKING:
    from provisioning.release.manifest import Release as Tree

_PLAN_SECONDS = 5.0
_FIRST_PUSH_SECONDS = 1500.0
"""The first push waits for the end of the first boot before it can begin."""


def project_root() -> Path:
    """Return the root of the project that the engine runs. Raises SettingsError."""
    return find_project_root(Path.cwd())


def _target(props: Mapping[str, Any], host_key: str) -> Target:
    return Login.of(props).target(props["host"], (host_key,), project_root())


def _settings(props: Mapping[str, Any]) -> PushSettings:
    """Return the settings of a push that trusts the host's own key alone."""
    return PushSettings.of_stack(
        _target(props, props["host_public_key"]),
        project_root(),
        props["environment"],
        props["open_ports"],
        props.get("secrets") or {},
        props.get("digest_key") or "",
    )


def _print(line: str) -> None:
    # The engine shows each line that a dynamic provider prints.
    print(line, file=sys.stderr, flush=True)


def _report(event: Event) -> None:
    match event:
        case StepFinished(step, seconds, detail):
            _print(f"{step}: done in {seconds:.1f}s{f' ({detail})' if detail else ''}")
        case StepFailed(step, seconds, detail):
            _print(f"{step}: failed after {seconds:.1f}s: {detail}")
        case WarningGiven(text):
            _print(text)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Put an error's hint and log into its text: the engine shows nothing else."""
    try:
        yield
    except ProvisioningError as error:
        tail = "".join(f"\n    {line}" for line in getattr(error, "log_tail", ()))
        raise RuntimeError(f"{error}. {error.hint}{tail}") from error


def _print_plan(props: Mapping[str, Any]) -> None:
    """Show the plan of the push, read from the host within a few seconds. A failure never ends the preview."""
    from provisioning.deploy.plan_push import preview_push
    from provisioning.plan.render import short_lines
    from provisioning.ssh import Timeouts, connect

    soon = partial(connect, timeouts=Timeouts(tcp=3, banner=3, auth=3, channel=3))
    try:
        found = preview_push(_settings(props), deadline_seconds=_PLAN_SECONDS, connector=soon)
        unknown = found.unknown
        lines = short_lines(found.forecast) if found.forecast else []
    except Exception as error:  # noqa: BLE001 - a preview of values that are not known yet, or of a broken host
        unknown, lines = str(error), []
    for line in lines or [f"the plan of the push is unknown: {unknown}"]:
        _print(line)


class HostTrustProvider(ResourceProvider):
    """Create the host's own key, over a connection that trusts the injected key alone."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        from provisioning.host.host_key import make_host_key

        with _one_sentence():
            own = make_host_key(_target(props, props["birth_public_key"]))
        return CreateResult(id_=props["instance_id"], outs={**props, "host_public_key": own})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaced = [name for name in ("instance_id", "birth_public_key") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(replaced), replaces=replaced)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)


class HostTrust(Resource, module="onebox", name="HostTrust"):
    """The host's own key, which every later connection pins."""

    host_public_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        host: pulumi.Input[str],
        login: Login,
        birth_public_key: pulumi.Input[str],
        instance_id: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            HostTrustProvider(),
            name,
            {
                "host": host,
                **login.properties(),
                "birth_public_key": birth_public_key,
                "instance_id": instance_id,
                "host_public_key": None,
            },
            opts,
        )


class ReleaseProvider(ResourceProvider):
    """Push when the observed release (`deployed` in the state) is not the desired one."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["instance_id"], outs=self._push(props, first=True))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        if olds["instance_id"] != news["instance_id"]:
            return UpdateResult(outs=self._push(news, first=True))
        return UpdateResult(outs=self._push(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        moved = any(olds.get(name) != news.get(name) for name in ("instance_id", "host", "host_public_key"))
        moved |= Login.of(olds).jump != Login.of(news).jump
        pushes = olds.get("deployed") != news["digest"]
        if pushes and not moved:
            _print_plan(news)
        return DiffResult(changes=moved or pushes)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        from provisioning.host.drift import read_status

        try:
            status = read_status(_settings(props))
        except ProvisioningError as error:
            _print(f"the host could not be read: {error}")
            return ReadResult(id_, {**props, "deployed": "unknown"})
        for line in status.drift:
            _print(f"drift on the host: {line}")
        deployed = "drifted" if status.drift else (status.release or "nothing")
        return ReadResult(id_, {**props, "deployed": deployed})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        from provisioning.deploy.push import retire

        try:
            warnings = retire(_settings(props), deadline_seconds=20)
        except ProvisioningError as error:
            # A missing key file must not keep a host alive.
            warnings = (f"the services were not stopped cleanly: {error}",)
        for warning in warnings:
            _print(warning)

    def _push(self, props: dict[str, Any], *, first: bool = False) -> dict[str, Any]:
        """Push the release of the preview. A first push begins with sealing the host key."""
        from provisioning.deploy.push import push_release
        from provisioning.host.host_key import seal_host_key
        from provisioning.host.readiness import wait_for_login

        with _one_sentence():
            settings = _settings(props)
            log_in = wait_for_login
            if first:
                settings = replace(settings, deadline_seconds=_FIRST_PUSH_SECONDS)
                log_in = partial(seal_host_key, injected_key=props["birth_public_key"])
            result = push_release(settings, _report, digest=props["digest"], log_in=log_in)
        # The inputs hold the secrets, encrypted; the outputs need not repeat them.
        kept = {name: value for name, value in props.items() if name not in ("secrets", "digest_key")}
        return {**kept, "deployed": result.release}


class Release(Resource, module="onebox", name="Release"):
    """The project's release on the host; `deployed` is the digest that the last push left there."""

    deployed: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        tree: pulumi.Output[Tree],
        trust: HostTrust,
        host: pulumi.Input[str],
        login: Login,
        birth_public_key: pulumi.Input[str],
        instance_id: pulumi.Input[str],
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
        digest_key: pulumi.Input[str],
        open_ports: frozenset[int],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ReleaseProvider(),
            name,
            {
                "digest": tree.apply(lambda read: previewed(read.digest)),
                "services": tree.apply(
                    lambda read: {name: record.digest for name, record in read.services.items()}
                ),
                "environment": dict(environment),
                "secrets": pulumi.Output.secret(dict(secrets)) if secrets else {},
                "digest_key": digest_key if secrets else "",
                "open_ports": sorted(open_ports),
                "host": host,
                **login.properties(),
                "birth_public_key": birth_public_key,
                "host_public_key": trust.host_public_key,
                "instance_id": instance_id,
                "deployed": None,
            },
            opts,
        )
