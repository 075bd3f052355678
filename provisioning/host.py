"""What is on the host: its facts, the lock, the store of releases, and steps that outlive nobody."""

from __future__ import annotations

import getpass
import gzip
import io
import json
import os
import secrets
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioning.deadline import Deadline
from provisioning.errors import CommandFailed, HostError, Locked, UploadFailed
from provisioning.plan import Container, HostState
from provisioning.process import Completed
from provisioning.release import ReleaseFile
from provisioning.remote import script
from provisioning.ssh import Connection

_HEARTBEAT_SECONDS = 10.0
_LOCKED_STATUS = 75


@dataclass(frozen=True)
class Store:
    """The release store below one root on one host, for one compose project."""

    connection: Connection
    root: str
    project: str

    def read_state(self, manifest: Mapping[str, Any] | None, deadline: Deadline) -> HostState:
        """What is on the host, seen from a wanted manifest, or from the current release's. One round trip."""
        request = {"root": self.root, "project": self.project, "manifest": manifest}
        return parse_state(self._ask("facts.py", request, deadline))

    def upload(self, archive: bytes, deadline: Deadline) -> str:
        """Bring an archive to the host, checked there, and return its path."""
        path = f"{self.root}/incoming/{secrets.token_hex(8)}.tar.gz"
        self.connection.put_file(archive, path, deadline=deadline.check("the upload"))
        return path

    def publish(self, manifest: Mapping[str, Any], archive: str | None, deadline: Deadline) -> None:
        """Make or repair the release's directory and its data directories, verified by hash, by rename."""
        request = {"root": self.root, "manifest": manifest, "archive": archive}
        try:
            self._ask("publish.py", request, deadline)
        except CommandFailed as error:
            if error.status == 28:
                hint = "Free space on the host."
                raise UploadFailed(self.root, "the disk of the host is full", hint=hint) from error
            raise

    def finish(
        self, entry: Mapping[str, Any], deadline: Deadline, *, switch_to: str | None = None, keep: int = 0
    ) -> tuple[str, ...]:
        """Write a journal entry; point `current` to a release; prune (0: do not). What was removed."""
        request = {
            "root": self.root,
            "project": self.project,
            "entry": {"at": datetime.now(UTC).isoformat(timespec="seconds"), **entry},
            "switch_to": switch_to,
            "keep": keep,
        }
        return tuple(self._ask("finish.py", request, deadline)["removed"])

    def run_step(
        self,
        argv: Sequence[str],
        step: str,
        deadline: Deadline,
        *,
        on_line: Callable[[str], None] | None = None,
        finish: bool = False,
        log: str = "",
    ) -> Completed:
        """Run a command that changes the host, and return its status and output without judging them.

        While it runs, nobody else can take the lock, even when this machine is gone. If we go away it is
        ended, or brought to its end within the deadline when `finish` is set.
        """
        seconds = deadline.check(step)
        request = {"root": self.root, "argv": list(argv), "seconds": seconds, "finish": finish, "log": log}
        lines = _Lines(on_line)
        done = self.connection.run(
            ["python3", "-I", "-c", script("step.py"), json.dumps(request)],
            deadline=seconds + 15,
            step=step,
            check=False,
            on_output=lines.feed,
            hold_input=True,
        )
        return Completed(done.status, lines.text(), done.stderr)

    @contextmanager
    def lock(self, deadline: Deadline, *, doing: str) -> Iterator[None]:
        """Hold the host for one push. Raises Locked naming who holds it.

        The lock is a process on the host: it ends when this connection ends or stops giving signs of life.
        """
        who = f"{getpass.getuser()}@{socket.gethostname()} (pid {os.getpid()})"
        holder = {"who": who, "doing": doing, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        argv = ["python3", "-I", "-c", script("lock.py"), self.root, json.dumps(holder)]
        process = self.connection.start(argv, "taking the lock")
        answer = process.read_line(min(30.0, deadline.check("taking the lock")))
        if answer != "held":
            done = process.wait(10.0)
            process.close()
            if done.status == _LOCKED_STATUS:
                raise Locked(answer or "nobody knows who")
            raise CommandFailed("taking the lock", done.status, done.stderr)
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(process.send, over), name="onebox-lock", daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            # Waiting for its end means that the lock is free when we return.
            if self.connection.active:
                process.wait(10.0)
            process.close()

    def _ask(self, name: str, request: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        done = self.connection.run_script(
            name, deadline=deadline.check(name), input=json.dumps(request).encode(), step=name
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError as error:
            raise HostError(f"the host's answer makes no sense: {done.stdout[-200:]!r}") from error
        if not isinstance(answer, dict):
            raise HostError(f"the host's answer makes no sense: {done.stdout[-200:]!r}")
        return answer


def parse_state(answer: Mapping[str, Any]) -> HostState:
    """Pure: the state in the answer of `facts.py`."""
    return HostState(
        current=answer["current"],
        current_manifest=answer["current_manifest"],
        present=answer["present"],
        problems=tuple(answer["problems"]),
        data_problems={digest: tuple(found) for digest, found in answer["data_problems"].items()},
        needed=frozenset(answer["needed"]),
        containers=tuple(Container(**container) for container in answer["containers"]),
        images=answer["images"],
        builds=answer["builds"],
        holder=answer["holder"],
        journal=answer["journal"],
        free_bytes=answer["free_bytes"],
    )


def make_archive(root: Path, files: Sequence[ReleaseFile], extra: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of files under their SHA-256 as names; the same files give the same bytes.

    `extra` is content by SHA-256 for files that are not in the tree. Raises HostError when a file is no
    longer what it was when the release was read.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(files, key=lambda item: item.sha256):
            content = extra.get(file.sha256)
            content = (root / file.path).read_bytes() if content is None else content
            if len(content) != file.size:
                raise UploadFailed(file.path, "it changed on this machine during the push")
            member = tarfile.TarInfo(file.sha256)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _beat(send: Callable[[bytes], None], over: threading.Event) -> None:
    while not over.wait(_HEARTBEAT_SECONDS):
        try:
            send(b"\n")
        except HostError:
            return


class _Lines:
    """Bytes as they come, cut into lines; keeps the last of them."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest = b""
        self._kept: list[str] = []

    def feed(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for raw in whole:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            self._kept = [*self._kept[-199:], line]
            if self._on_line:
                self._on_line(line)

    def text(self) -> str:
        return "\n".join([*self._kept, self._rest.decode("utf-8", "replace")])
