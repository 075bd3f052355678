"""The release as a resource: preview shows it, up pushes it, refresh finds a host that drifted, destroy ends it.

Everything that touches the host is the library in `provisioning`; this module says when it runs and what the
state remembers. The classes live in an importable module, so the state holds their name and not their code:
an edit here is no change of the stack.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.login import Login

if TYPE_CHECKING:
    from provisioning.config.settings import PushSettings
    from provisioning.events import Event
    from provisioning.release.manifest import Release as Tree

PROJECT_ROOT = Path(__file__).resolve().parents[1]
_PLAN_SECONDS = 5.0


def _settings(props: Mapping[str, Any], host_keys: tuple[str, ...]) -> PushSettings:
    from provisioning.config.passphrase import read_passphrase
    from provisioning.config.secrets import ServiceSecrets
    from provisioning.config.settings import Jump, PushSettings, Target

    configured, jump = props["private_key_file"], props.get("jump")
    key_file = PROJECT_ROOT / Path(configured).expanduser() if configured else None
    return PushSettings(
        target=Target(
            host=props["host"],
            user=props["user"],
            private_key_file=key_file,
            host_keys=host_keys,
            passphrase=read_passphrase(key_file),
            login_key=props.get("public_key") or "",
            jump=Jump.parse(jump, props["jump_host_key"]) if jump else None,
        ),
        project_root=PROJECT_ROOT,
        environment=dict(props["environment"]),
        open_ports=frozenset(int(port) for port in props["open_ports"]),
        secrets=ServiceSecrets(props.get("secrets") or {}, props.get("digest_key") or ""),
    )


def _say(line: str) -> None:
    # What a dynamic provider prints reaches the user as a line of the engine's own output.
    print(line, file=sys.stderr, flush=True)


def _tell(event: Event) -> None:
    from provisioning.events import StepFailed, StepFinished, WarningGiven

    match event:
        case StepFinished(step, seconds, detail):
            _say(f"{step}: done in {seconds:.1f}s{f' ({detail})' if detail else ''}")
        case StepFailed(step, seconds, detail):
            _say(f"{step}: failed after {seconds:.1f}s: {detail}")
        case WarningGiven(text):
            _say(text)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """The engine shows an error's text and nothing else, so what to do next belongs into it."""
    from provisioning.errors import ProvisioningError

    try:
        yield
    except ProvisioningError as error:
        tail = "".join(f"\n    {line}" for line in getattr(error, "log_tail", ()))
        raise RuntimeError(f"{error}. {error.hint}{tail}") from error


def _tell_plan(props: Mapping[str, Any]) -> None:
    """Show what the push would do, read from the host within a few seconds. Never a reason to stop."""
    from provisioning.deploy.plan_push import preview_push
    from provisioning.plan.render import short_lines
    from provisioning.ssh import Timeouts, connect

    soon = partial(connect, timeouts=Timeouts(tcp=3, banner=3, auth=3, channel=3))
    try:
        found = preview_push(
            _settings(props, (props["host_public_key"],)), deadline_seconds=_PLAN_SECONDS, connector=soon
        )
        unknown = found.unknown
        lines = short_lines(found.forecast) if found.forecast else []
    except Exception as error:  # noqa: BLE001 - a preview of values that are not known yet, or of a broken host
        unknown, lines = str(error), []
    for line in lines or [f"what the push would do is not known: {unknown}"]:
        _say(line)


class HostTrustProvider(ResourceProvider):
    """Has the host make a key of its own over the connection that the birth key vouches for."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        from provisioning.host.host_key import make_host_key

        settings = _settings({**props, "environment": {}, "open_ports": []}, (props["birth_public_key"],))
        with _one_sentence():
            own = make_host_key(settings.target)
        return CreateResult(id_=props["instance_id"], outs={**props, "host_public_key": own})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaced = [name for name in ("instance_id", "birth_public_key") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(replaced), replaces=replaced)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)


class HostTrust(Resource, module="onebox", name="HostTrust"):
    """The key that the host made for itself: the one that every later connection expects."""

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
                **asdict(login),
                "birth_public_key": birth_public_key,
                "instance_id": instance_id,
                "host_public_key": None,
            },
            opts,
        )


class ReleaseProvider(ResourceProvider):
    """Pushes when the host does not have the wanted release; `deployed` in the state is what was found there."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["instance_id"], outs=self._first_push(props))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        if olds["instance_id"] != news["instance_id"]:
            return UpdateResult(outs=self._first_push(news))
        return UpdateResult(outs=self._push(news, (news["host_public_key"],)))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        told = any(olds.get(name) != news.get(name) for name in ("instance_id", "host", "host_public_key"))
        # What is not set and what an older state does not know yet are the same.
        told |= any((olds.get(name) or "") != (news.get(name) or "") for name in ("jump", "jump_host_key"))
        pushes = olds.get("deployed") != news["digest"]
        if pushes and not told:
            _tell_plan(news)
        return DiffResult(changes=told or pushes)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        from provisioning.errors import ProvisioningError
        from provisioning.host.drift import read_status

        try:
            status = read_status(_settings(props, (props["host_public_key"],)))
        except ProvisioningError as error:
            _say(f"the host could not be read: {error}")
            return ReadResult(id_, {**props, "deployed": "unknown"})
        for line in status.drift:
            _say(f"drift on the host: {line}")
        deployed = "drifted" if status.drift else (status.release or "nothing")
        return ReadResult(id_, {**props, "deployed": deployed})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        from provisioning.deploy.push import retire
        from provisioning.errors import ProvisioningError

        try:
            warnings = retire(_settings(props, (props["host_public_key"],)), deadline_seconds=20)
        except ProvisioningError as error:
            # A key file that is gone must not keep a host alive.
            warnings = (f"the services were not ended cleanly: {error}",)
        for warning in warnings:
            _say(warning)

    def _first_push(self, props: dict[str, Any]) -> dict[str, Any]:
        """On a host that may still present its birth key: the own key is put in force first."""
        from provisioning.host.host_key import seal_host_key

        both = (props["host_public_key"], props["birth_public_key"])
        with _one_sentence():
            seal_host_key(_settings(props, both).target, props["host_public_key"])
        return self._push(props, (props["host_public_key"],))

    def _push(self, props: dict[str, Any], host_keys: tuple[str, ...]) -> dict[str, Any]:
        from provisioning.deploy.push import push_release

        with _one_sentence():
            result = push_release(_settings(props, host_keys), _tell)
        # The inputs hold the secrets, encrypted; what comes out of a push need not repeat them.
        kept = {name: value for name, value in props.items() if name not in ("secrets", "digest_key")}
        return {**kept, "deployed": result.release}


class Release(Resource, module="onebox", name="Release"):
    """The tree beside this program, serving on the host; `deployed` is the digest the host was left with."""

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
                "digest": tree.apply(lambda read: read.digest),
                "services": tree.apply(
                    lambda read: {name: record.digest for name, record in read.services.items()}
                ),
                "environment": dict(environment),
                "secrets": pulumi.Output.secret(dict(secrets)) if secrets else {},
                "digest_key": digest_key if secrets else "",
                "open_ports": sorted(open_ports),
                "host": host,
                **asdict(login),
                "birth_public_key": birth_public_key,
                "host_public_key": trust.host_public_key,
                "instance_id": instance_id,
                "deployed": None,
            },
            opts,
        )
