"""An upload goes on where an earlier one was cut, and nothing that is wrong is built upon."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from provisioning.agent.store.messages import Publish
from provisioning.deploy.push import push_release
from provisioning.host.drift import read_status
from provisioning.host_errors import ConnectionLost, DiskFull, UploadFailed
from provisioning.ssh import connect
from provisioning.ssh.process import Completed
from provisioning.ssh.upload import Upload
from tests.provisioning.agent_process import call, start_request

CONTENT = b"0123456789" * 100


def offer(offset: int, prefix: bytes, free: int = 10_000) -> str:
    return json.dumps({"offset": offset, "sha256": hashlib.sha256(prefix).hexdigest(), "free": free})


@pytest.mark.parametrize(
    ("offset", "prefix", "start"),
    [
        (0, b"", 0),
        (400, CONTENT[:400], 400),
        (1000, CONTENT, 1000),
        (400, b"x" * 400, 0),
        (2000, CONTENT * 2, 0),
    ],
    ids=["nothing is there", "a beginning", "all of it", "something else", "more than there is"],
)
def test_only_a_beginning_of_our_own_content_is_gone_on_with(offset: int, prefix: bytes, start: int) -> None:
    upload = Upload.of(CONTENT)

    assert upload.answer(offer(offset, prefix), "f") == f"{start}\n".encode() + CONTENT[start:]
    assert upload.sent == 1000 - start


def test_what_does_not_fit_on_the_disk_is_refused_before_a_byte_is_sent() -> None:
    upload = Upload.of(CONTENT)

    with pytest.raises(DiskFull) as caught:
        upload.answer(offer(400, CONTENT[:400], free=599), "f")
    assert (caught.value.needed, caught.value.free) == (600, 599)
    assert upload.answer(offer(400, CONTENT[:400], free=600), "f")


@pytest.mark.parametrize("said", ["hello", "{}", "[]", '{"offset": "x", "sha256": "", "free": 1}'])
def test_an_offer_that_makes_no_sense_is_refused(said: str) -> None:
    with pytest.raises(UploadFailed, match="cannot be parsed"):
        Upload.of(CONTENT).answer(said, "f")


@pytest.mark.parametrize(
    ("status", "sentence"), [(28, "disk of the host is full"), (74, "is incomplete"), (1, "why")]
)
def test_each_end_on_the_host_has_its_sentence(status: int, sentence: str) -> None:
    with pytest.raises(UploadFailed, match=sentence):
        Upload.of(CONTENT).check(Completed(status, "", "why"), "f")


def cut_upload(host: Any, link_to: Any, content: bytes, remote: Path, after: int) -> None:
    """Bring some of the content to the host, over a line that breaks."""
    link = link_to(host.sshd.port)
    with connect(replace(host.target, port=link.port)) as connection:
        link.cut_after(after)
        with pytest.raises((ConnectionLost, UploadFailed)):
            connection.put_file(content, str(remote), deadline=20)


@pytest.mark.process
def test_a_cut_upload_is_continued_and_what_was_there_does_not_travel_again(host: Any, link_to: Any) -> None:
    content, remote = os.urandom(6_000_000), host.home / "there" / "file"
    cut_upload(host, link_to, content, remote, 3_000_000)
    (part,) = remote.parent.iterdir()
    wait_until_nobody_has_it_open(part)
    there = part.stat().st_size

    with connect(host.target) as connection:
        upload = connection.send(Upload.of(content), str(remote), deadline=20)

    assert 0 < there < len(content)
    assert upload.sent == len(content) - there
    assert remote.read_bytes() == content
    assert [path.name for path in remote.parent.iterdir()] == ["file"]


@pytest.mark.process
def test_a_part_that_was_tampered_with_is_sent_anew(host: Any, link_to: Any) -> None:
    content, remote = os.urandom(3_000_000), host.home / "there" / "file"
    cut_upload(host, link_to, content, remote, 2_000_000)
    (part,) = remote.parent.iterdir()
    wait_until_nobody_has_it_open(part)
    with part.open("r+b") as file:
        file.write(b"evil")

    with connect(host.target) as connection:
        upload = connection.send(Upload.of(content), str(remote), deadline=20)

    assert upload.sent == len(content)
    assert remote.read_bytes() == content


@pytest.mark.process
def test_two_uploads_of_the_same_content_do_not_disturb_each_other(host: Any) -> None:
    content, remote = os.urandom(4_000_000), host.home / "there" / "file"

    def bring(_number: int) -> str:
        with connect(host.target) as connection:
            return connection.put_file(content, str(remote), deadline=30)

    with ThreadPoolExecutor(3) as pool:
        hashes = set(pool.map(bring, range(3)))

    assert hashes == {hashlib.sha256(content).hexdigest()}
    assert remote.read_bytes() == content
    assert [path.name for path in remote.parent.iterdir()] == ["file"]


@pytest.mark.process
def test_a_push_over_a_line_that_breaks_is_continued_by_the_next(host: Any, link_to: Any) -> None:
    first = host.push()
    (host.project / "models" / "model.onnx").write_bytes(os.urandom(5_000_000))
    link = link_to(host.sshd.port)

    def there() -> int:
        return sum(part.stat().st_size for part in host.root.rglob("*.part-*"))

    def break_the_line(command: str) -> None:
        # Only an upload has an agent of its own, which is told the size of its request.
        if "onebox-agent" in command and not command.endswith(" 0"):
            link.cut_after(2_500_000, once=lambda: there() > 2_000_000)

    host.sshd.on_command = break_the_line
    with pytest.raises((ConnectionLost, UploadFailed)):
        push_release(
            replace(host.settings(), target=replace(host.target, port=link.port)),
            run_dir=str(host.home / "cloud-init"),
        )
    host.sshd.on_command = lambda _command: None
    assert (host.root / "current").readlink().name == first.release
    (part,) = host.root.rglob("*.part-*")
    wait_until_nobody_has_it_open(part)
    lacking = 5_000_000 - there()

    result = host.push(lock_wait_seconds=30)

    # The archive's own headers and the manifest come on top of the model.
    assert lacking <= result.uploaded_bytes <= lacking + 64 * 1024
    assert lacking < 3_000_000
    assert not (host.root / "incoming").exists()
    assert read_status(host.settings()).drift == ()


@pytest.mark.process
def test_a_release_that_does_not_fit_on_the_disk_changes_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.push()
    before, journal = host.state()["containers"], (host.root / "journal.jsonl").read_text()
    (host.project / "ui" / "page.py").write_text("new")
    monkeypatch.setattr("provisioning.deploy.apply.file_bytes", lambda *_: 1 << 60)

    with pytest.raises(DiskFull, match=r"1099511627776\.0 MiB on the host's disk"):
        host.push()

    assert host.state()["containers"] == before
    assert (host.root / "journal.jsonl").read_text() == journal
    assert not (host.root / "incoming").exists()


@pytest.mark.process
@pytest.mark.parametrize("name", ["../evil", "/tmp/onebox-evil", "link", "a" * 64])
def test_members_of_an_archive_that_do_not_belong_there_reach_nothing(tmp_path: Path, name: str) -> None:
    content = b"print('api')\n"
    sha256 = hashlib.sha256(content).hexdigest()
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        evil = tarfile.TarInfo(name)
        if name == "link":
            evil = tarfile.TarInfo(sha256)
            evil.type, evil.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(evil, BytesIO())
        good = tarfile.TarInfo(sha256)
        good.size = len(content)
        archive.addfile(good, BytesIO(content))
    root = tmp_path / "onebox"
    (root / "incoming").mkdir(parents=True)
    (root / "incoming" / "a.tar.gz").write_bytes(packed.getvalue())
    entry = {"path": "app/server.py", "mode": 0o644, "sha256": sha256, "size": len(content)}
    manifest = {"release": "r" * 64, "files": [entry], "data": {}}

    call(Publish(str(root), None, manifest, str(root / "incoming" / "a.tar.gz")))

    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"server.py", "manifest.json"}
    assert not Path("/tmp/onebox-evil").exists()


WATCHED = """\
import sys
replace, sync = os.replace, os.sync
def told(words): print(words, file=sys.stderr)
os.sync = lambda: (sync(), told("on disk"))
os.replace = lambda old, new: (os.path.isdir(old) and told(os.path.basename(new)), replace(old, new))
"""


@pytest.mark.process
def test_a_release_and_its_data_are_on_the_disk_in_one_go_before_any_of_them_has_its_name(
    tmp_path: Path,
) -> None:
    content = b"model"
    sha256 = hashlib.sha256(content).hexdigest()
    entry = {"mode": 0o644, "sha256": sha256, "size": len(content)}
    old = {"files": [{**entry, "path": "old"}]}
    (tmp_path / "releases" / "old").mkdir(parents=True)
    (tmp_path / "releases" / "old" / "old").write_bytes(content)
    (tmp_path / "releases" / "old" / "manifest.json").write_text(json.dumps(old))
    data = {"A": {"digest": "data-a", "files": [{**entry, "path": "a"}]}}
    data["B"] = {"digest": "data-b", "files": [{**entry, "path": "b", "mode": 0o755}]}
    manifest = {"release": "new", "files": [{**entry, "path": "d/a"}], "data": data}

    done = start_request(
        Publish(str(tmp_path), None, manifest, None),
        {"import tarfile\n": "import tarfile\n" + WATCHED},
        stderr=subprocess.PIPE,
    )
    _, stderr = done.communicate(timeout=30)

    assert stderr.splitlines() == ["on disk", "new", "data-a", "data-b"]
    assert (tmp_path / "releases" / "new" / "d" / "a").read_bytes() == content
    assert (tmp_path / "data" / "data-b" / "b").stat().st_mode & 0o777 == 0o755
    assert json.loads((tmp_path / "releases" / "new" / "manifest.json").read_text()) == manifest


def wait_until_nobody_has_it_open(path: Path) -> None:
    """Until the process that was writing it has seen that its line is gone."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
