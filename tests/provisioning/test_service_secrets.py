"""Secrets of the services: a file that one user can read, and nowhere else a trace of the value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from provisioning.config.secrets import ServiceSecrets
from provisioning.deploy.plan_push import preview_push
from provisioning.errors import ReleaseError, SettingsError, UnhealthyRelease
from provisioning.host.drift import read_status
from provisioning.host_errors import CommandFailed
from provisioning.release.release import read_release
from tests.provisioning.secret_projects import CANARY, KEY, secrets, with_secrets


def test_neither_values_nor_key_show(project: Path) -> None:
    given = secrets(api_token=CANARY)

    assert CANARY not in repr(given)
    assert KEY not in repr(given)


@pytest.mark.parametrize(
    ("values", "key", "sentence"),
    [
        ({"a b": "x"}, KEY, "is not the name of a secret"),
        ({"../a": "x"}, KEY, "is not the name of a secret"),
        ({"a": ""}, KEY, "the secret a is empty"),
        ({"a": " \n"}, KEY, "the secret a is empty"),
        ({"a": f"{CANARY}\0"}, KEY, "holds a NUL or is larger"),
        ({"a": CANARY * 9000}, KEY, "holds a NUL or is larger"),
        ({"a": CANARY}, "", "no key for their digests"),
        ({"a": CANARY}, "short", "no key for their digests"),
    ],
)
def test_values_that_cannot_be_used_are_refused_without_being_shown(
    values: dict[str, str], key: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        ServiceSecrets(values, key)

    assert CANARY not in str(caught.value)


def test_a_digest_tells_nothing_without_the_key(project: Path) -> None:
    with_secrets(project)
    one = read_release(project, {}, secrets(api_token="a"))
    again = read_release(project, {}, secrets(api_token="a"))
    other_value = read_release(project, {}, secrets(api_token="b"))
    other_key = read_release(project, {}, secrets("x" * 64, api_token="a"))

    assert one.digest == again.digest
    assert len({one.digest, other_value.digest, other_key.digest}) == 3


def test_another_value_is_another_digest_of_the_services_that_read_it_only(project: Path) -> None:
    with_secrets(project)
    before = read_release(project, {}, secrets(api_token="a", page_key="p")).services
    after = read_release(project, {}, secrets(api_token="b", page_key="p")).services

    assert {name for name in before if before[name] != after[name]} == {"api"}


@pytest.mark.parametrize(
    ("change", "values", "sentence"),
    [
        (lambda text: text, {"api_tokn": "x"}, "has no secret api_tokn"),
        (lambda text: text, {"ca_bundle": "x"}, "has no secret ca_bundle"),
        (lambda text: text.replace(":-/dev/null", ""), {"page_key": "x"}, "needs the secret api_token"),
        (lambda text: text.replace("secrets: [api_token]", ""), {"api_token": "x"}, "no service .* reads"),
        (lambda text: text.replace('user: "10001:10001"', ""), {}, "has no numeric user"),
        (lambda text: text.replace("10001:10001", "app"), {}, "has no numeric user"),
        (
            lambda text: text.replace("source: page_key", "source: api_token").replace("10001", "10002", 2),
            {},
            "run as different users",
        ),
    ],
)
def test_secrets_that_do_not_fit_the_compose_file_are_refused(
    project: Path, change: Any, values: dict[str, str], sentence: str
) -> None:
    file = with_secrets(project) / "docker-compose.yml"
    file.write_text(change(file.read_text()))

    with pytest.raises(ReleaseError, match=sentence):
        read_release(project, {}, secrets(**values))


def test_the_path_of_a_secret_cannot_be_given_as_a_plain_value(project: Path) -> None:
    with pytest.raises(ReleaseError, match="ONEBOX_SECRET_API_TOKEN is set by the push itself"):
        read_release(with_secrets(project), {"ONEBOX_SECRET_API_TOKEN": "/etc/passwd"})


def files_below(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


@pytest.mark.process
def test_a_secret_is_a_file_for_its_services_user_alone(secret_host: Any) -> None:
    secret_host.push(secrets=secrets(api_token=CANARY))

    (path,) = secret_host.root.glob("secrets/*/api_token")
    assert path.read_text() == CANARY
    assert path.stat().st_mode & 0o777 == 0o400
    assert {folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)} == {0o700}
    if os.getuid() == 0:
        assert (path.stat().st_uid, path.stat().st_gid) == (10001, 10001)
    env = (secret_host.root / "current" / "release.env").read_text()
    assert f"ONEBOX_SECRET_API_TOKEN='{path}'" in env
    assert "ONEBOX_SECRET_PAGE_KEY" not in env


@pytest.mark.process
def test_a_changed_secret_recreates_its_readers_only_and_the_old_file_goes_with_its_release(
    secret_host: Any,
) -> None:
    secret_host.push(secrets=secrets(api_token="one", page_key="same"), keep_releases=2)
    secret_host.calls()

    second = secret_host.push(secrets=secrets(api_token="two", page_key="same"), keep_releases=2)

    assert [call for call in secret_host.calls() if call[0] in ("up", "build")] == [
        ["up", "--force-recreate", "api"]
    ]
    assert second.uploaded_files == 1
    secret_host.push(secrets=secrets(api_token="three", page_key="same"), keep_releases=2)
    values = {path.read_text() for path in secret_host.root.glob("secrets/*/api_token")}
    assert values == {"two", "three"}
    assert not secret_host.push(secrets=secrets(api_token="three", page_key="same")).changed


@pytest.mark.process
@pytest.mark.parametrize("harm", ["removed", "written over", "replaced"])
def test_a_file_that_was_touched_is_drift_and_is_written_again(secret_host: Any, harm: str) -> None:
    given = secrets(api_token="value", page_key="other")
    secret_host.push(secrets=given)
    secret_host.calls()
    (path,) = secret_host.root.glob("secrets/*/api_token")
    if harm == "written over":
        path.chmod(0o600)
        path.write_text("evil!")
    else:
        path.unlink()
    if harm == "replaced":
        path.write_text("value")
    problem = "missing" if harm == "removed" else "changed"
    assert read_status(secret_host.settings()).drift == (
        f"secrets/{path.parent.name[:12]}: {problem} api_token",
        "api: a secret of it on the host is missing or was changed",
    )

    result = secret_host.push(secrets=given)

    assert (result.container_actions, result.uploaded_bytes) == (("recreate api",), 0)
    assert path.read_text() == "value"
    assert read_status(secret_host.settings()).drift == ()


@pytest.mark.process
def test_an_unhealthy_release_goes_back_to_the_secret_it_had(secret_host: Any) -> None:
    secret_host.push(secrets=secrets(api_token="one"))
    before = secret_host.state()["containers"]["api"]["digest"]
    given = secrets(api_token="two")
    bad = read_release(secret_host.project, {}, given).services["api"].digest
    (secret_host.docker / "unhealthy").write_text(bad)

    with pytest.raises(UnhealthyRelease):
        secret_host.push(secrets=given)

    assert secret_host.state()["containers"]["api"]["digest"] == before
    assert "one" in {path.read_text() for path in secret_host.root.glob("secrets/*/api_token")}


@pytest.mark.process
def test_a_file_that_cannot_be_given_to_its_reader_stops_the_push_before_any_service(
    secret_host: Any,
) -> None:
    sudo = secret_host.home / "bin" / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")

    with pytest.raises(CommandFailed, match="cannot be given to 10001:10001: sudo: a password"):
        secret_host.push(secrets=secrets(api_token=CANARY))

    assert secret_host.calls() == []
    assert not list(secret_host.root.glob("secrets/**/api_token"))


@pytest.mark.process
def test_a_canary_is_in_its_file_and_nowhere_else(secret_host: Any, events: Any) -> None:
    secret_host.push(secrets=secrets(api_token="first"))
    given = secrets(api_token=CANARY, page_key=f"-----BEGIN-----\n{CANARY}\n-----END-----\n")
    # The service tells everybody what it was given, in its log and in its health check.
    docker = secret_host.home / "bin" / "docker"
    text = docker.read_text().replace('"line {number} of {services[0]}"', f'"line {{number}} {CANARY}"')
    text = text.replace("line {number} of {services[0]}", f"line {{number}} {CANARY}")
    docker.write_text(text.replace("connection refused", f"refused {CANARY}"))
    (secret_host.docker / "unhealthy").write_text(
        read_release(secret_host.project, {}, given).services["web"].digest
    )
    preview = preview_push(secret_host.settings(secrets=given))

    with pytest.raises(UnhealthyRelease) as caught:
        secret_host.push(events, secrets=given)
    (secret_host.docker / "unhealthy").unlink()
    result = secret_host.push(events, secrets=given)

    everywhere = {
        "events": events.text(),
        "result": repr(result),
        "settings": repr(secret_host.settings(secrets=given)),
        "error": repr(caught.value) + str(caught.value) + "".join(caught.value.log_tail),
        "preview": json.dumps(preview.document, ensure_ascii=False) + repr(preview),
        "commands over SSH": "\n".join(secret_host.sshd.commands),
        "what docker was shown": (secret_host.docker / "seen.jsonl").read_text(),
        **{name: path.read_text(errors="replace") for name, path in files_below(secret_host.root).items()},
    }
    escaped = json.dumps(CANARY).strip('"')
    found = {name for name, text in everywhere.items() if CANARY in text or escaped in text}
    assert {name.split("/")[0] for name in found} == {"secrets"}
    assert {name.split("/")[-1] for name in found} == {"api_token", "page_key"}
    assert len(everywhere) > 20
