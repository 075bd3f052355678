"""What is on the host: its facts, the store of releases, and steps that outlive nobody."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from provisioning.config.secrets import ServiceSecrets
from provisioning.deadline import Deadline
from provisioning.host_errors import CommandFailed, HostError, UploadFailed
from provisioning.identity import whoami
from provisioning.plan.observed import Container, HostState, LiveData, SplitInForce
from provisioning.release.manifest import DataDirectory, Release, ReleaseFile, SecretRecord
from provisioning.ssh import Connection
from provisioning.ssh.connection import NOTHING
from provisioning.ssh.process import Completed
from provisioning.ssh.upload import Upload


@dataclass(frozen=True)
class Store:
    """The release store below one root on one host, for one compose project."""

    connection: Connection
    root: str
    project: str
    push: str = ""
    """What the journal calls the work that is under way; empty while nothing is changed."""
    release: str = ""

    def read_state(self, release: Release | None, deadline: Deadline) -> HostState:
        """Return what is on the host, seen from a wanted release, or from the current one. One round trip."""
        name, given = _by_name(release)
        return parse_state(self.ask("facts.py", self._facts(name), deadline, given))

    def read_containers(self, deadline: Deadline) -> HostState:
        """As `read_state`, with the containers and nothing else."""
        found = self.ask("facts.py", self._facts(None, only_containers=True), deadline)["containers"]
        return HostState(containers=tuple(Container(**container) for container in found))

    def begin(
        self, what: str, release: str, deadline: Deadline, *, archive: bytes | None = None
    ) -> tuple[Store, tuple[str, ...]]:
        """Write into the journal that work begins, and remove what earlier work left half made.

        What an earlier try brought of `archive` stays. Returns the store whose steps are journalled, and
        what was removed. Only for the holder of the lock.
        """
        store = replace(self, push=secrets.token_hex(6), release=release)
        entry = {"push": store.push, "release": release, "step": "push", "state": "begin"}
        request = {
            "root": self.root,
            "entry": {**entry, "what": what, "who": whoami()},
            "keep": self._incoming(archive) if archive is not None else None,
        }
        return store, tuple(self.ask("begin.py", request, deadline)["removed"])

    def send_ahead(self, scripts: Sequence[str]) -> None:
        """Send scripts that will be run soon, while the host has something else to do."""
        self.connection.send_ahead(scripts)

    def upload(self, archive: bytes, deadline: Deadline) -> tuple[str, int]:
        """Bring an archive to the host, checked there: its path, and how many bytes had to travel."""
        path = self._incoming(archive)
        note = self._note("upload")
        upload = self.connection.send(
            Upload.of(archive),
            path,
            deadline=deadline.check("the upload"),
            note=json.dumps(note) if note else "",
        )
        return path, upload.sent

    def keep_secrets(
        self,
        values: ServiceSecrets,
        wanted: Mapping[str, SecretRecord],
        marks: Iterable[str],
        deadline: Deadline,
    ) -> None:
        """Write the files of the secrets with these marks. The values travel as the input of a script only."""
        asked = set(marks)
        entries = [
            {"digest": item.digest, "name": name, "owner": item.owner, "value": values.values[name]}
            for name, item in wanted.items()
            if item.digest in asked
        ]
        request = {"root": self.root, "note": self._note("secrets"), "secrets": entries}
        self.ask("secret_files.py", request, deadline)

    def publish(self, release: Release, archive: str | None, deadline: Deadline) -> None:
        """Make or repair the release's directory and its data directories, verified by hash, by rename."""
        name, given = _by_name(release)
        request = {"root": self.root, "note": self._note("publish"), "manifest": name, "archive": archive}
        try:
            self.ask("publish.py", request, deadline, given)
        except CommandFailed as error:
            if error.status == 28:
                hint = "Free space on the host."
                raise UploadFailed(self.root, "the disk of the host is full", hint=hint) from error
            raise

    def put_live(self, variable: str, data: DataDirectory, deadline: Deadline, *, loaded: bool) -> None:
        """Put the data of a variable before the service that reloads, or write down that it has read it."""
        request = {
            "root": self.root,
            "note": self._note(f"{'confirm' if loaded else 'switch'} {variable}"),
            "variable": variable,
            "digest": data.digest,
            "files": [asdict(file) for file in data.files],
            "loaded": loaded,
        }
        self.ask("live_data.py", request, deadline)

    def finish(
        self, entry: Mapping[str, Any], deadline: Deadline, *, switch_to: str | None = None, keep: int = 0
    ) -> tuple[str, ...]:
        """Write a journal entry; point `current` to a release; prune (0: do not). What was removed."""
        request = {
            "root": self.root,
            "project": self.project,
            "entry": {"who": whoami(), **({"push": self.push} if self.push else {}), **entry},
            "switch_to": switch_to,
            "keep": keep,
        }
        return tuple(self.ask("finish.py", request, deadline)["removed"])

    def run_step(
        self,
        argv: Sequence[str],
        step: str,
        deadline: Deadline,
        *,
        on_line: Callable[[str], None] | None = None,
        finish: bool = False,
        log: str = "",
        journal: bool = True,
    ) -> Completed:
        """Run a command that changes the host, and return its status and output without judging them.

        While it runs, nobody else can take the lock, even when this machine is gone. If we go away it is
        ended, or brought to its end within the deadline when `finish` is set.
        """
        seconds = deadline.check(step)
        request = {
            "root": self.root,
            "note": self._note(step) if journal else None,
            "argv": list(argv),
            "seconds": seconds,
            "finish": finish,
            "log": log,
        }
        lines = _Lines(on_line)
        done = self.connection.run_script(
            "step.py",
            json.dumps(request),
            deadline=seconds + 15,
            step=step,
            check=False,
            on_output=lines.feed,
            hold_input=True,
        )
        return Completed(done.status, lines.text(), done.stderr)

    def ask(
        self,
        name: str,
        request: Mapping[str, Any],
        deadline: Deadline,
        given: Mapping[str, bytes] = NOTHING,
    ) -> dict[str, Any]:
        """Run one of the scripts of `provisioning/agent/` with a request as JSON, and return its answer.

        The request may say by name what is `given`, which travels once for each connection.
        """
        done = self.connection.run_script(
            name,
            deadline=deadline.check(name),
            input=json.dumps(request).encode(),
            step=name,
            given=given,
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError as error:
            raise HostError(f"the host's answer makes no sense: {done.stdout[-200:]!r}") from error
        if not isinstance(answer, dict):
            raise HostError(f"the host's answer makes no sense: {done.stdout[-200:]!r}")
        return answer

    def _facts(self, manifest: str | None, *, only_containers: bool = False) -> dict[str, Any]:
        return {
            "root": self.root,
            "project": self.project,
            "only_containers": only_containers,
            "manifest": manifest,
        }

    def _incoming(self, archive: bytes) -> str:
        # Named by its content: a later try of the same archive finds what there is of it.
        return f"{self.root}/incoming/{hashlib.sha256(archive).hexdigest()[:32]}.tar.gz"

    def _note(self, step: str) -> dict[str, str] | None:
        if not self.push:
            return None
        return {"root": self.root, "push": self.push, "release": self.release, "step": step}


def _by_name(release: Release | None) -> tuple[str | None, Mapping[str, bytes]]:
    """Return a name for the release's manifest, and the manifest, which travels once under that name."""
    if release is None:
        return None, NOTHING
    content = json.dumps(release.to_json()).encode()
    name = hashlib.sha256(content).hexdigest()[:16]
    return name, {name: content}


def parse_state(answer: Mapping[str, Any]) -> HostState:
    """Pure: the state in the answer of `facts.py`."""
    return HostState(
        current=answer["current"],
        current_release=Release.from_json(found) if (found := answer["current_manifest"]) else None,
        present=answer["present"],
        problems=tuple(answer["problems"]),
        data_problems={digest: tuple(found) for digest, found in answer["data_problems"].items()},
        secret_problems=answer["secret_problems"],
        leftovers=tuple(answer["leftovers"]),
        unfinished=answer["unfinished"],
        live={
            name: LiveData(found["digest"], found["in_force"], tuple(found["problems"]))
            for name, found in answer["live"].items()
        },
        needed=frozenset(answer["needed"]),
        containers=tuple(Container(**container) for container in answer["containers"]),
        images=answer["images"],
        image_bytes=answer["image_bytes"],
        builds=answer["builds"],
        holder=answer["holder"],
        journal=answer["journal"],
        measured={name: tuple(seconds) for name, seconds in answer["measured"].items()},
        split_in_force=SplitInForce(**split) if (split := answer["split_in_force"]) else None,
        can_carry_out=answer["can_carry_out"],
        free_bytes=answer["free_bytes"],
    )


def make_archive(files: Iterable[ReleaseFile], contents: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar of files named by their SHA-256; the same files give the same bytes.

    `contents` holds the content of each by its SHA-256.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(files, key=lambda item: item.sha256):
            content = contents[file.sha256]
            member = tarfile.TarInfo(file.sha256)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


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
