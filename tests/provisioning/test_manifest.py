"""The manifest of a release: what is written is read again, and what cannot be used is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning.deploy.plan_push import preview_push
from provisioning.deploy.rollback import plan_rollback, roll_back
from provisioning.host.audit import read_audit
from provisioning.host.drift import read_status
from provisioning.host.history import read_releases
from provisioning.host_errors import CommandFailed, ManifestRefused
from provisioning.release.environment import environment_text, for_host
from provisioning.release.manifest import Release
from provisioning.release.release import read_release

# As the first version of this program wrote it, which knew neither reloads nor secrets.
DIGEST = "d" * 64
FIRST_VERSION = {
    "schema": 1,
    "release": DIGEST,
    "files": [{"path": "app/server.py", "mode": 0o644, "sha256": "a" * 64, "size": 7}],
    "services": {
        "web": {
            "digest": "e" * 64,
            "build": None,
            "image": "nginx:1",
            "data": [],
            "digest_variable": "ONEBOX_WEB_DIGEST",
        },
        "api": {
            "digest": "c" * 64,
            "build": "b" * 64,
            "image": "onebox/api:" + "c" * 64,
            "data": ["ONEBOX_MODELS_DIR"],
            "digest_variable": "ONEBOX_API_DIGEST",
        },
    },
    "order": ["api", "web"],
    "data": {
        "ONEBOX_MODELS_DIR": {
            "path": "app/artifacts",
            "digest": "f" * 64,
            "files": [{"path": "model.onnx", "mode": 0o644, "sha256": "9" * 64, "size": 5}],
        }
    },
    "environment": {"MODEL_V1_WEIGHT": "70"},
}


def changed(change: Callable[[Any], object]) -> Any:
    manifest = json.loads(json.dumps(FIRST_VERSION))
    change(manifest)
    return manifest


def as_first_version(manifest: Any) -> Any:
    """A manifest of today without the fields that came later."""
    del manifest["secrets"]
    for record in manifest["services"].values():
        del record["reload"], record["secrets"]
    for directory in manifest["data"].values():
        del directory["live"]
    return manifest


def test_a_release_is_read_as_it_was_written(project: Path) -> None:
    release = for_host(read_release(project, {"MODEL_V1_WEIGHT": "70"}), "/opt/onebox")

    assert Release.from_json(json.loads(json.dumps(release.to_json())), release.digest) == release


def test_the_environment_file_is_one_of_the_files_and_of_the_contents(project: Path) -> None:
    release = for_host(read_release(project, {}), "/opt/onebox")

    (env_file,) = set(release.files) - set(release.tree_files)
    assert (env_file.path, env_file.mode) == ("release.env", 0o600)
    assert release.contents[env_file.sha256].decode() == environment_text(release, "/opt/onebox")


def test_a_manifest_of_the_first_version_is_read_with_defaults() -> None:
    release = Release.from_json(FIRST_VERSION, DIGEST)

    assert list(release.services) == ["api", "web"]
    assert {(record.reload, record.secrets) for record in release.services.values()} == {("", ())}
    assert not release.data["ONEBOX_MODELS_DIR"].live
    assert (release.secrets, release.environment) == ({}, {"MODEL_V1_WEIGHT": "70"})
    assert release.service_data("api") == {}


def test_fields_that_are_not_known_are_ignored() -> None:
    newer = changed(lambda it: it.update(more=1))

    assert Release.from_json(newer, DIGEST) == Release.from_json(FIRST_VERSION, DIGEST)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: it.pop("schema"), "manifest.schema is missing"),
        (lambda it: it.update(schema="1"), "manifest.schema is not a number"),
        (lambda it: it.update(schema=True), "manifest.schema is not a number"),
        (lambda it: it.update(schema=0), "manifest.schema is 0, which no version wrote"),
        (lambda it: it.pop("release"), "manifest.release is missing"),
        (lambda it: it.update(release=7), "manifest.release is not text"),
        (lambda it: it.update(release="e" * 64), "manifest.release is eeeeeeeeeeee"),
        (lambda it: it.pop("files"), "manifest.files is missing"),
        (lambda it: it.update(files={}), "manifest.files is not an array"),
        (lambda it: it["files"].append("x"), r"manifest.files\[1\] is not an object"),
        (lambda it: it["files"][0].update(size=-1), r"manifest.files\[0\].size is not a number"),
        (lambda it: it.update(services=[]), "manifest.services is not an object"),
        (lambda it: it["services"]["api"].pop("image"), "manifest.services.api.image is missing"),
        (lambda it: it["services"]["api"].update(build=1), "manifest.services.api.build is not text"),
        (
            lambda it: it["services"]["api"].update(data=[1]),
            "manifest.services.api.data holds more than text",
        ),
        (lambda it: it["services"]["api"].update(reload=1), "manifest.services.api.reload is not text"),
        (lambda it: it["order"].pop(), "manifest.order does not name every service once"),
        (lambda it: it["order"].append("api"), "manifest.order does not name every service once"),
        (lambda it: it["data"].clear(), "manifest.data lacks ONEBOX_MODELS_DIR, which api mounts"),
        (
            lambda it: it["data"]["ONEBOX_MODELS_DIR"].update(live="no"),
            "manifest.data.ONEBOX_MODELS_DIR.live is neither true nor false",
        ),
        (lambda it: it["environment"].update(A=1), "manifest.environment.A is not text"),
        (lambda it: it.update(secrets={"key": {}}), "manifest.secrets.key.digest is missing"),
    ],
)
def test_a_manifest_that_no_version_wrote_is_refused_by_the_position_of_its_fault(
    change: Callable[[Any], object], sentence: str
) -> None:
    with pytest.raises(ManifestRefused, match=f"is refused: {sentence}$") as caught:
        Release.from_json(changed(change), DIGEST)

    assert (
        caught.value.hint
        == "Remove the file releases/dddddddddddd…/manifest.json on the host, then push again."
    )


@pytest.mark.parametrize("manifest", [None, [], "text", 1])
def test_what_is_no_object_is_refused(manifest: object) -> None:
    with pytest.raises(ManifestRefused, match="manifest is not an object"):
        Release.from_json(manifest, DIGEST)


@pytest.mark.parametrize("schema", [2, 99])
def test_a_newer_schema_is_refused_with_the_next_step(schema: int) -> None:
    with pytest.raises(
        ManifestRefused,
        match=f"d{{12}} on the host is refused: it has schema {schema}, and this version reads 1",
    ) as caught:
        Release.from_json(changed(lambda it: it.update(schema=schema)), DIGEST)

    assert "newer" in caught.value.hint


def rewrite(host: Any, release: str, change: Callable[[Any], Any]) -> None:
    path = host.root / "releases" / release / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.process
def test_a_host_pushed_by_the_first_version_is_read_planned_pushed_and_rolled_back(host: Any) -> None:
    first = host.push().release
    rewrite(host, first, as_first_version)

    assert read_status(host.settings()).drift == ()
    assert not host.push().changed
    (host.project / "app" / "server.py").write_text("two")
    assert preview_push(host.settings()).forecast is not None
    second = host.push().release
    rewrite(host, second, as_first_version)
    assert {item.release for item in read_releases(host.settings()).releases} == {first, second}

    plan = plan_rollback(host.settings())
    roll_back(host.settings(), plan, run_dir=str(host.home / "cloud-init"))

    status = read_status(host.settings())
    assert (status.release, status.drift) == (first, ())


@pytest.mark.process
def test_a_host_of_a_newer_version_is_left_alone(host: Any) -> None:
    first = host.push().release
    host.calls()
    rewrite(host, first, lambda manifest: {**manifest, "schema": 2})
    (host.project / "app" / "server.py").write_text("two")

    for act in (host.push, lambda: read_status(host.settings())):
        with pytest.raises(ManifestRefused, match="has schema 2"):
            act()

    assert "has schema 2" in preview_push(host.settings()).unknown
    (unreadable,) = read_releases(host.settings()).unreadable
    assert (unreadable.release, unreadable.current) == (first, True)
    assert host.calls() == []


@pytest.mark.process
def test_a_damaged_manifest_is_drift_and_the_next_push_writes_it_again(host: Any) -> None:
    first = host.push().release
    path = host.root / "releases" / first / "manifest.json"
    whole = path.read_text()
    path.write_text(whole[:100])

    assert read_status(host.settings()).drift == (f"the release {first[:12]} is not on the host",)
    assert host.push().changed

    assert json.loads(path.read_text()) == json.loads(whole)
    assert read_status(host.settings()).drift == ()


def _push(host: Any, text: str) -> str:
    (host.project / "app" / "server.py").write_text(text)
    release: str = host.push().release
    return release


UNREADABLE = ['{"schema": 2}', '{"schema": 2, "files": {}}', "", "{", "[]", "5", "[" * 100_000]


@pytest.mark.process
def test_an_unreadable_release_is_listed_and_leaves_the_others_usable(host: Any) -> None:
    first, second, third = (_push(host, text) for text in ("one", "two", "three"))
    for manifest in UNREADABLE:
        (host.root / "releases" / second / "manifest.json").write_text(manifest)

        kept = read_releases(host.settings())
        plan = plan_rollback(host.settings(), first)

        assert [item.release for item in kept.releases] == [third, first], manifest
        assert [item.release for item in kept.unreadable] == [second], manifest
    roll_back(host.settings(), plan, run_dir=str(host.home / "cloud-init"))
    assert read_status(host.settings()).release == first


@pytest.mark.process
def test_a_newer_release_and_what_it_may_need_is_not_pruned(host: Any) -> None:
    first = _push(host, "one")
    data = set((host.root / "data").iterdir())
    rewrite(host, first, lambda _: {"schema": 2, "files": "of another shape"})
    # The host has another current release, as after a rollback by the newer version.
    (host.root / "current").unlink()

    (host.project / "models" / "model.onnx").write_text("new")
    for text in ("two", "three", "four"):
        (host.project / "app" / "server.py").write_text(text)
        host.push(keep_releases=2)

    assert (host.root / "releases" / first / "app" / "server.py").read_text() == "one"
    assert data < set((host.root / "data").iterdir())


@pytest.mark.process
@pytest.mark.parametrize("current", [True, False])
def test_a_release_without_its_manifest_is_repaired_where_it_is(host: Any, current: bool) -> None:
    first = _push(host, "one")
    if not current:
        _push(host, "two")
    (host.root / "releases" / first / "manifest.json").unlink()

    assert _push(host, "one") == first

    assert read_status(host.settings()).drift == ()


DAMAGED = [
    "",
    "{",
    "[]",
    "null",
    "5",
    "[" * 50_000,
    '{"result": "ok", "what": "push", "release": 5, "took": 3}',
]


@pytest.mark.process
def test_damaged_lines_of_the_logs_stop_no_command(host: Any) -> None:
    first, second = (_push(host, text) for text in ("one", "two"))
    for name in ("journal.jsonl", "audit.jsonl"):
        with (host.root / name).open("a") as file:
            file.write("\n".join(DAMAGED) + "\n")

    assert [item.release for item in read_releases(host.settings()).releases] == [second, first]
    assert read_status(host.settings()).drift == ()
    assert read_audit(host.settings()).broken == tuple(range(3, 3 + len(DAMAGED)))
    assert _push(host, "three") == read_status(host.settings()).release
    assert read_audit(host.settings()).entries[-1].what == "push"


@pytest.mark.process
def test_a_newer_journal_is_refused_with_the_next_step(host: Any) -> None:
    _push(host, "one")
    with (host.root / "journal.jsonl").open("a") as file:
        file.write('{"schema": 99}\n')

    for act in (host.push, lambda: read_status(host.settings()), lambda: read_releases(host.settings())):
        with pytest.raises(
            CommandFailed, match="schema 99, this version reads up to 1; use a newer"
        ) as caught:
            act()
        assert caught.value.hint
