"""Pure: one upload, from the host's offer of what it has to the check of what arrived."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from provisioning.agent.codec import Malformed, decode
from provisioning.agent.protocol import Exit
from provisioning.agent.store.journal_entry import JournalStep
from provisioning.agent.store.messages import Offer, ReceiveFile
from provisioning.host_errors import DiskFull, UploadFailed
from provisioning.ssh.process import Completed


@dataclass
class Upload:
    """Content to upload. `sent` is the number of bytes that were sent."""

    content: bytes = field(repr=False)
    sha256: str
    sent: int = 0

    @classmethod
    def of(cls, source: Path | bytes) -> Self:
        """Return the upload of a file or of bytes."""
        content = source if isinstance(source, bytes) else source.read_bytes()
        return cls(content, hashlib.sha256(content).hexdigest())

    def request(
        self, remote: str, mode: int, root: str = "", journal: JournalStep | None = None
    ) -> ReceiveFile:
        """Return the request to receive it. The part is named by the content, so that a later attempt finds it."""
        part = f"{remote}.part-{self.sha256[:16]}"
        return ReceiveFile(remote, part, self.sha256, len(self.content), mode, root, journal)

    def answer(self, offer: str | None, remote: str) -> bytes:
        """Return the offset at which to resume, and the bytes from there, for the host's offer.

        A part whose hash differs from that of the same prefix is not used. Raises DiskFull.
        """
        if offer is None:
            return b""
        try:
            found = decode(Offer, offer)
        except Malformed as error:
            raise UploadFailed(remote, f"the host's response cannot be parsed: {offer[-200:]!r}") from error
        offset = found.offset
        if offset > len(self.content) or hashlib.sha256(self.content[:offset]).hexdigest() != found.sha256:
            offset = 0
        self.sent = len(self.content) - offset
        if found.free < self.sent:
            raise DiskFull(self.sent, found.free, f"the upload of {remote}")
        return f"{offset}\n".encode() + self.content[offset:]

    def check(self, done: Completed, remote: str) -> None:
        """Raise UploadFailed unless the host received the whole content."""
        if done.status == Exit.DISK_FULL:
            raise UploadFailed(remote, "the disk of the host is full", hint="Free space on the host.")
        if done.status != 0:
            reason = "it is incomplete" if done.status == Exit.INCOMPLETE else done.stderr.strip()
            raise UploadFailed(remote, reason or f"status {done.status}")
