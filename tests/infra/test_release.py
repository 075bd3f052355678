"""The release as a resource: when it pushes, what the state remembers, and that destroy never wedges."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.digest_key import DigestKeyProvider
from infra.release import HostTrustProvider, ReleaseProvider
from provisioning.config.settings import PushSettings, Target
from provisioning.deploy.plan_push import Preview
from provisioning.errors import UnhealthyRelease
from provisioning.host_errors import Unreachable
from provisioning.plan.preview import Forecast, ServiceForecast
from provisioning.release.release import read_release

COMPOSE = """services:
  api:
    build: ./app
    image: onebox/api:${ONEBOX_API_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_API_DIGEST:-dev}"}
    environment: {MODEL_V1_WEIGHT: "${MODEL_V1_WEIGHT:-50}"}
"""
OWN, BIRTH = "ssh-ed25519 " + "A" * 68, "ssh-ed25519 " + "B" * 68


@dataclass
class Host:
    """Stands for everything behind the provisioning library; keeps what was asked of it."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    found: str = "new"
    drift: tuple[str, ...] = ()
    broken: Exception | None = None
    forecast: Forecast | None = None

    def make_host_key(self, target: Target) -> str:
        self.calls.append(("make_host_key", target.host_keys))
        return OWN

    def seal_host_key(self, target: Target, *_given: Any, injected_key: str, **_more: Any) -> None:
        self.calls.append(("seal", (target.host_keys, injected_key)))

    def wait_for_login(self, target: Target, *_given: Any, **_more: Any) -> None:
        self.calls.append(("log in", target.host_keys))

    def push_release(self, settings: PushSettings, report: Any, *, digest: str, log_in: Any) -> Any:
        self.calls.append(("push", digest))
        log_in(settings.target, None, report, connector=None)
        if self.broken:
            raise self.broken
        return type("Result", (), {"release": "new", "warnings": ()})()

    def read_status(self, settings: PushSettings) -> Any:
        if self.broken:
            raise self.broken
        return type("Status", (), {"release": self.found, "drift": self.drift})()

    def preview_push(self, settings: PushSettings, **more: Any) -> Preview:
        self.calls.append(("plan", settings.target.host_keys))
        if self.broken:
            raise self.broken
        return Preview({}, self.forecast, "" if self.forecast else "no answer")

    def retire(self, settings: PushSettings, deadline_seconds: float) -> tuple[str, ...]:
        self.calls.append(("retire", deadline_seconds))
        return ("the host is gone; nothing to take down",)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    fake = Host()
    for module, names in {
        "host.host_key": ("make_host_key", "seal_host_key"),
        "host.readiness": ("wait_for_login",),
        "deploy.push": ("push_release", "retire"),
        "host.drift": ("read_status",),
        "deploy.plan_push": ("preview_push",),
    }.items():
        for name in names:
            monkeypatch.setattr(f"provisioning.{module}.{name}", getattr(fake, name))
    return fake


@pytest.fixture
def props(key_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    private, _ = key_files
    return {
        "digest": "new",
        "services": {"flask-api": "f1"},
        "environment": {"MODEL_V1_WEIGHT": "50"},
        "open_ports": [22, 5000],
        "host": "192.0.2.10",
        "user": "admin",
        "private_key_file": str(private),
        "birth_public_key": BIRTH,
        "host_public_key": OWN,
        "instance_id": "i-1",
    }


@pytest.fixture(autouse=True)
def any_key_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.config.settings._host_key", lambda _name, key, _types: key)


def test_the_host_makes_its_own_key_over_a_connection_that_the_birth_key_vouches_for(
    host: Host, props: dict[str, Any]
) -> None:
    made = HostTrustProvider().create(props)
    assert host.calls == [("make_host_key", (BIRTH,))]
    assert made.outs is not None
    assert made.outs["host_public_key"] == OWN


def test_another_instance_is_another_trust(props: dict[str, Any]) -> None:
    same = HostTrustProvider().diff("i-1", props, dict(props))
    other = HostTrustProvider().diff("i-1", props, {**props, "instance_id": "i-2"})
    assert same.changes is False
    assert other.replaces == ["instance_id"]


def test_the_first_push_begins_with_sealing_the_own_key_and_trusts_nothing_else(
    host: Host, props: dict[str, Any]
) -> None:
    made = ReleaseProvider().create(props)
    assert host.calls == [("push", "new"), ("seal", ((OWN,), BIRTH))]
    assert made.outs is not None
    assert made.outs["deployed"] == "new"


def test_a_later_push_trusts_the_own_key_alone(host: Host, props: dict[str, Any]) -> None:
    ReleaseProvider().update("i-1", {**props, "digest": "old"}, props)
    assert host.calls == [("push", "new"), ("log in", (OWN,))]


def test_a_replaced_instance_goes_through_its_first_push(host: Host, props: dict[str, Any]) -> None:
    ReleaseProvider().update("i-1", props, {**props, "instance_id": "i-2"})
    assert [name for name, _ in host.calls] == ["push", "seal"]


@pytest.mark.parametrize(
    ("deployed", "more", "changes"),
    [
        ("new", {}, False),
        ("new", {"private_key_file": "elsewhere"}, False),
        ("new", {"open_ports": [22]}, False),
        ("old", {}, True),
        ("drifted", {}, True),
        ("unknown", {}, True),
        ("new", {"instance_id": "i-2"}, True),
        ("new", {"host": "192.0.2.11"}, True),
        ("new", {"jump": "me@jump.example", "jump_host_key": BIRTH}, True),
        ("new", {"jump": "", "jump_host_key": "", "secrets": {}, "digest_key": ""}, False),
    ],
)
def test_only_what_the_host_must_notice_is_a_change(
    host: Host, props: dict[str, Any], deployed: str, more: dict[str, Any], changes: bool
) -> None:
    answer = ReleaseProvider().diff("i-1", {**props, "deployed": deployed}, {**props, **more})
    assert answer.changes is changes


def forecast() -> Forecast:
    api = ServiceForecast("api", "recreate", "tag", "it changed", 3.2, True, "recreate api")
    web = ServiceForecast("web", "nothing", "keep", "", None, False, "")
    return Forecast("new", "old", (api, web), (), (), (), (), 1, 2048, 4096, 10**9, False)


def test_a_preview_of_another_release_shows_what_the_push_would_do(
    host: Host, props: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    host.forecast = forecast()

    ReleaseProvider().diff("i-1", {**props, "deployed": "old"}, props)

    assert host.calls == [("plan", (OWN,))]
    assert capsys.readouterr().err.splitlines() == [
        "api: recreate, about 4 s of downtime",
        "web: nothing",
        "disk: at most 4.0 KiB needed, 953.7 MiB free",
    ]


@pytest.mark.parametrize("broken", [None, Unreachable("192.0.2.10:22", "refused"), KeyError("host")])
def test_a_preview_succeeds_when_the_host_cannot_be_read(
    host: Host, props: dict[str, Any], capsys: pytest.CaptureFixture[str], broken: Exception | None
) -> None:
    host.broken = broken

    answer = ReleaseProvider().diff("i-1", {**props, "deployed": "old"}, props)

    assert answer.changes is True
    assert "the plan of the push is unknown: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("deployed", "more"), [("new", {}), ("old", {"instance_id": "i-2"}), ("new", {"host": "192.0.2.11"})]
)
def test_a_preview_without_a_push_to_the_same_host_reads_no_host(
    host: Host, props: dict[str, Any], deployed: str, more: dict[str, Any]
) -> None:
    ReleaseProvider().diff("i-1", {**props, "deployed": deployed}, {**props, **more})

    assert host.calls == []


def test_refresh_remembers_what_it_found(host: Host, props: dict[str, Any]) -> None:
    assert ReleaseProvider().read("i-1", props).outs == {**props, "deployed": "new"}


def test_refresh_of_a_tampered_host_names_the_drift_and_makes_the_next_up_push(
    host: Host, props: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    host.drift = ("app/api/routes.py differs",)
    outs = ReleaseProvider().read("i-1", props).outs
    assert outs is not None
    assert outs["deployed"] == "drifted"
    assert "app/api/routes.py differs" in capsys.readouterr().err
    assert ReleaseProvider().diff("i-1", outs, props).changes is True


def test_refresh_of_a_host_that_does_not_answer_is_unknown_and_no_error(
    host: Host, props: dict[str, Any]
) -> None:
    host.broken = Unreachable("192.0.2.10:22", "refused")
    outs = ReleaseProvider().read("i-1", props).outs
    assert outs is not None
    assert outs["deployed"] == "unknown"


def test_destroy_succeeds_when_the_host_is_gone(
    host: Host, props: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ReleaseProvider().delete("i-1", props)
    assert host.calls == [("retire", 20)]
    assert "the host is gone" in capsys.readouterr().err


def test_destroy_succeeds_when_the_key_file_is_gone(
    host: Host, props: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ReleaseProvider().delete("i-1", {**props, "private_key_file": "/nowhere/id_ed25519"})
    assert host.calls == []
    assert "the services were not stopped cleanly" in capsys.readouterr().err


def test_a_failed_push_tells_what_happened_what_to_do_and_shows_the_log(
    host: Host, props: dict[str, Any]
) -> None:
    host.broken = UnhealthyRelease(
        "flask-api", "it exits", log_tail=("ImportError: flask",), restored="old", outcome="old serves again"
    )
    with pytest.raises(RuntimeError) as failed:
        ReleaseProvider().update("i-1", props, props)
    assert "flask-api of the new release is not healthy" in str(failed.value)
    assert "onebox logs flask-api" in str(failed.value)
    assert "ImportError: flask" in str(failed.value)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that the engine runs in."""
    root = tmp_path / "project"
    for path, text in {
        "Pulumi.yaml": "name: onebox\n",
        "docker-compose.yml": COMPOSE,
        "app/Dockerfile": "FROM scratch\nCOPY . /srv\n",
        "app/server.py": "print('api')\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    monkeypatch.chdir(root / "app")
    return root


class LoggedIn(Exception):
    """The push reached the host."""


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("changed", [True, False])
def test_a_tree_that_changed_after_its_preview_is_not_pushed(
    props: dict[str, Any], tree: Path, monkeypatch: pytest.MonkeyPatch, first: bool, changed: bool
) -> None:
    def log_in(*_given: Any, **_more: Any) -> None:
        raise LoggedIn

    monkeypatch.setattr("provisioning.host.readiness.wait_for_login", log_in)
    monkeypatch.setattr("provisioning.host.host_key.seal_host_key", log_in)
    monkeypatch.setattr(
        "provisioning.deploy.plan_push.preview_push", lambda *_given, **_more: Preview({}, None, "no answer")
    )
    shown = {**props, "digest": read_release(tree, props["environment"]).digest}
    provider = ReleaseProvider()
    olds = {**props, "deployed": "old"}
    assert provider.diff("i-1", olds, shown).changes is True
    if changed:
        (tree / "app/server.py").write_text("print('another')\n")

    with pytest.raises(RuntimeError if changed else LoggedIn) as ended:
        provider.create(shown) if first else provider.update("i-1", olds, shown)

    if changed:
        now = read_release(tree, props["environment"]).digest
        assert str(ended.value) == (
            f"the preview showed the release {shown['digest'][:12]}, but the tree is now {now[:12]}; nothing was "
            "changed. Run `pulumi up` again: its preview shows the new release."
        )


def test_what_a_push_leaves_in_the_state_holds_no_secret(host: Host, props: dict[str, Any]) -> None:
    given = {**props, "secrets": {"api_token": "canary-17"}, "digest_key": "k" * 64}
    for outs in (
        ReleaseProvider().create(given).outs,
        ReleaseProvider().update("i-1", {**props, "deployed": "old"}, given).outs,
    ):
        assert outs is not None
        assert not {"secrets", "digest_key"} & set(outs)
        assert "canary-17" not in repr(outs)


def test_the_key_of_the_digests_is_made_once() -> None:
    provider = DigestKeyProvider()
    made = [provider.create({}).outs for _ in range(2)]
    keys = {outs["key"] for outs in made if outs}
    assert {len(key) for key in keys} == {64}
    assert len(keys) == 2
    assert provider.diff("", made[0] or {}, {"key": None}).changes is False
