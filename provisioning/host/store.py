"""The release store of a host: read its observed state, change it, run steps under the lock."""

from __future__ import annotations

import gzip
import hashlib
import io
import secrets
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from provisioning.agent.command.messages import RunStep
from provisioning.agent.observe.messages import Facts, ReadFacts
from provisioning.agent.protocol import Answer, Exit, Request
from provisioning.agent.store.journal_entry import JournalEntry, JournalStep
from provisioning.agent.store.manifest import FileEntry
from provisioning.agent.store.messages import (
    Begin,
    ConfirmLiveData,
    Finish,
    Publish,
    SecretFile,
    SwitchLiveData,
    WriteSecrets,
)
from provisioning.config.secrets import ServiceSecrets
from provisioning.deadline import Deadline
from provisioning.host_errors import CommandFailed, UploadFailed
from provisioning.identity import whoami
from provisioning.plan.observed import Container, HostState, LiveData, SplitInForce
from provisioning.release.manifest import DataDirectory, Release, ReleaseFile, SecretRecord
from provisioning.ssh import Connection
from provisioning.ssh.connection import step_name
from provisioning.ssh.process import Completed
from provisioning.ssh.upload import Upload


@dataclass(frozen=True)
class Store:
    """The release store below one root on one host, for one compose project."""

    connection: Connection
    root: str
    project: str
    push: str = ""
    """Id of the running change in the journal; empty while nothing is changed."""
    release: str = ""

    def read_state(self, release: Release | None, deadline: Deadline) -> HostState:
        """Return the observed state, compared with `release` (None: the current release). One round trip."""
        manifest = None if release is None else release.to_json()
        return state_of(self.call(ReadFacts(self.root, self.project, manifest), deadline))

    def read_containers(self, deadline: Deadline) -> HostState:
        """Return the observed state as `read_state` does, but of the containers only."""
        return state_of(self.call(ReadFacts(self.root, self.project, only_containers=True), deadline))

    def begin(
        self, what: str, release: str, deadline: Deadline, *, archive: bytes | None = None
    ) -> tuple[Store, tuple[str, ...]]:
        """Journal the begin of a change, and remove partial files of unfinished ones.

        A part of `archive` that an earlier attempt uploaded stays. Returns the store whose steps are journalled, and
        the removed paths. The caller must hold the lock.
        """
        store = replace(self, push=secrets.token_hex(6), release=release)
        entry = JournalEntry(
            push=store.push, release=release, step="push", state="begin", what=what, who=whoami()
        )
        keep = self._incoming(archive) if archive is not None else None
        return store, self.call(Begin(self.root, entry, keep), deadline).removed

    def upload(self, archive: bytes, deadline: Deadline) -> tuple[str, int]:
        """Upload an archive, verified on the host; return its path there and the number of bytes sent."""
        path = self._incoming(archive)
        upload = self.connection.send(
            Upload.of(archive),
            path,
            deadline=deadline.check("the upload"),
            root=self.root,
            journal=self._journal("upload"),
        )
        return path, upload.sent

    def keep_secrets(
        self,
        values: ServiceSecrets,
        wanted: Mapping[str, SecretRecord],
        marks: Iterable[str],
        deadline: Deadline,
    ) -> None:
        """Write the files of the secrets with these keyed hashes. The values are sent as input of the request only."""
        asked = set(marks)
        entries = tuple(
            SecretFile(item.digest, name, item.owner, values.values[name])
            for name, item in wanted.items()
            if item.digest in asked
        )
        self.call(WriteSecrets(self.root, self._journal("secrets"), entries), deadline)

    def publish(self, release: Release, archive: str | None, deadline: Deadline) -> None:
        """Create or repair the directories of the release and its data: verified by hash, activated by rename."""
        request = Publish(self.root, self._journal("publish"), release.to_json(), archive)
        try:
            self.call(request, deadline)
        except CommandFailed as error:
            if error.status == Exit.DISK_FULL:
                hint = "Free space on the host."
                raise UploadFailed(self.root, "the disk of the host is full", hint=hint) from error
            raise

    def put_live(self, variable: str, data: DataDirectory, deadline: Deadline, *, loaded: bool) -> None:
        """Switch the live data of a variable to `data`; with `loaded`, record that the service has loaded it."""
        if loaded:
            journal = self._journal(f"confirm {variable}")
            self.call(ConfirmLiveData(self.root, journal, variable, data.digest), deadline)
        else:
            journal = self._journal(f"switch {variable}")
            files = tuple(FileEntry(file.path, file.mode, file.sha256) for file in data.files)
            self.call(SwitchLiveData(self.root, journal, variable, data.digest, files), deadline)

    def finish(
        self, entry: JournalEntry, deadline: Deadline, *, switch_to: str | None = None, keep: int = 0
    ) -> tuple[str, ...]:
        """Journal the result, point `current` to a release, prune (0: do not); return what was removed."""
        line = replace(entry, who=whoami(), push=self.push)
        return self.call(Finish(self.root, self.project, line, switch_to, keep), deadline).removed

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
        """Run a command that changes the host; return its status and output, whatever the status.

        While it runs, no other push can take the lock, even if this client is gone. If the client goes away the
        command is ended; with `finish` it continues until its own end or the deadline.
        """
        seconds = deadline.check(step)
        request = RunStep(
            self.root, self._journal(step) if journal else None, tuple(argv), seconds, finish, log
        )
        lines = _Lines(on_line)
        with closing(self.connection.start_request(request, step=step)) as process:
            done = process.wait(seconds + 15, on_output=lines.feed, hold_input=True)
        return Completed(done.status, lines.text(), done.stderr)

    def call(self, request: Request[Answer], deadline: Deadline) -> Answer:
        """Return the agent's answer to a request, within the deadline."""
        return self.connection.call(request, deadline=deadline.check(step_name(request)))

    def _incoming(self, archive: bytes) -> str:
        # Named by its content, so that a later attempt resumes the upload of the same archive.
        return f"{self.root}/incoming/{hashlib.sha256(archive).hexdigest()[:32]}.tar.gz"

    def _journal(self, step: str) -> JournalStep | None:
        return JournalStep(self.push, self.release, step) if self.push else None


def state_of(facts: Facts) -> HostState:
    """Return the observed state in the agent's facts."""
    values = dict(vars(facts))
    manifest, split = values.pop("current_manifest"), facts.split_in_force
    return HostState(
        **{
            **values,
            "current_release": Release.from_json(manifest, facts.current)
            if manifest and facts.current
            else None,
            "live": {name: LiveData(**vars(found)) for name, found in facts.live.items()},
            "needed": frozenset(facts.needed),
            "containers": tuple(Container(**vars(found)) for found in facts.containers),
            "split_in_force": SplitInForce(**vars(split)) if split else None,
        }
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
    """Cuts a stream of bytes into lines and keeps the last 200 of them."""

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
