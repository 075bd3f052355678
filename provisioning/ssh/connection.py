"""A logged-in connection: commands, requests to the agent, uploads and tunnels, each with a deadline."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko

from provisioning.agent.codec import Malformed, decode
from provisioning.agent.protocol import READY, Answer, Request, answer_type, start_text
from provisioning.agent.store.journal_entry import JournalStep
from provisioning.config.settings import Target
from provisioning.host_errors import CommandFailed, ConnectionLost, HostError, Unreachable
from provisioning.ssh.archive import agent_argv, archive
from provisioning.ssh.process import Completed, Process
from provisioning.ssh.rpc import Agent
from provisioning.ssh.timeouts import BROKEN, Timeouts
from provisioning.ssh.upload import Upload

_GRACE_SECONDS = 1.0
_START_SECONDS = 30.0
_SHARED_BYTES = 256 * 1024


class WriteRefused(RuntimeError):
    """A restricted connection was used for a change of the host: a defect of this program."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} could change the host, and this connection may only read")


class Connection:
    """A logged-in connection. Use it as a context manager; it closes itself when the host stops responding."""

    def __init__(self, transports: tuple[paramiko.Transport, ...], target: Target, limits: Timeouts) -> None:
        self.target = target
        self.lost = False
        self._transport = transports[-1]
        self._outer = transports[:-1]
        # What a shell's start-up files print comes before it, and is no part of an answer.
        self._marker = f"onebox-{secrets.token_hex(8)}"
        self._limits = limits
        self._closing = threading.Event()
        self._agent: Agent | None = None
        self._allowed: frozenset[type[Request[Any]]] | None = None
        self._starting = threading.Lock()
        threading.Thread(target=self._probe, name="onebox-ssh-probe", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; commands that still run on the host see the end of their input."""
        self._closing.set()
        self._hang_up()

    @property
    def active(self) -> bool:
        """Return whether the host responded to the last probe."""
        return self._transport.is_active() and not self.lost

    def restrict_to(self, *requests: type[Request[Any]]) -> None:
        """Reject everything but these requests from now on: commands, uploads and tunnels raise WriteRefused."""
        self._allowed = frozenset(requests)

    def start(self, command: Sequence[str] | str, step: str) -> Process:
        """Start a command (argv, or a line for the remote shell) without waiting for it."""
        if self._allowed is not None:
            raise WriteRefused(step or str(command))
        return self._start(command, step)

    def _start(self, command: Sequence[str] | str, step: str) -> Process:
        line = command if isinstance(command, str) else f"exec {shlex.join(command)}"
        try:
            channel = self._transport.open_session(timeout=self._limits.channel)
            channel.settimeout(self._limits.channel)
            channel.exec_command(f"echo {self._marker}; {line}")
        except BROKEN as error:
            raise ConnectionLost(self.target.address, step) from error
        marker = f"{self._marker}\n".encode()
        return Process(channel, self.target.address, step, lambda: self.active, BROKEN, marker)

    def start_request(
        self, request: Request[Any], *, step: str = "", seconds: float | None = None
    ) -> Process:
        """Start a request to the agent without waiting for its end; after `seconds` it is killed on the host.

        One agent on the host serves all requests of a connection; the first of them starts it.
        """
        name = step or step_name(request)
        if self._allowed is not None and type(request) not in self._allowed:
            raise WriteRefused(name)
        try:
            agent = self._running_agent(name, min(_START_SECONDS, seconds or _START_SECONDS))
            stream = agent.start(request, seconds)
        except BROKEN as error:
            raise ConnectionLost(self.target.address, name) from error
        return Process(stream, self.target.address, name, lambda: self.active, BROKEN, pause=stream.pause)

    def start_alone(self, request: Request[Any], *, step: str = "", sudo: bool = False) -> Process:
        """Start a request in an agent and over a channel of its own, as root with `sudo`."""
        content = start_text(request)
        argv = agent_argv(len(archive()), len(content))
        process = self.start(["sudo", "-n", *argv] if sudo else argv, step or step_name(request))
        process.send_first(archive() + content)
        return process

    def _running_agent(self, step: str, deadline: float) -> Agent:
        with self._starting:
            if self._agent is None or self._agent.over:
                process = self._start(agent_argv(len(archive())), step)
                process.send_first(archive())
                if process.read_line(deadline) != READY.decode().strip():
                    done = process.wait(deadline)
                    raise CommandFailed(step, done.status, done.stderr or done.stdout)
                self._agent = Agent(process.channel, broken=BROKEN)
            return self._agent

    def call(
        self, request: Request[Answer], *, deadline: float, step: str = "", sudo: bool = False
    ) -> Answer:
        """Return the agent's answer to a request. Raises as `run`, and HostError for an answer of another shape."""
        name = step or step_name(request)
        done = self._complete(request, name, deadline, sudo=sudo)
        if done.status != 0:
            refused = sudo and done.stderr.lstrip().startswith("sudo:")
            hint = f"{self.target.user} must be allowed `sudo -n` without a password." if refused else ""
            raise CommandFailed(name, done.status, done.stderr or done.stdout, hint=hint)
        try:
            return decode(answer_type(request), done.stdout)
        except Malformed as error:
            raise HostError(f"the host's response cannot be parsed: {done.stdout[-200:]!r}") from error

    def _complete(self, request: Request[Any], step: str, deadline: float, *, sudo: bool) -> Completed:
        seconds = deadline + _GRACE_SECONDS
        started = (
            self.start_alone(request, step=step, sudo=True)
            if sudo
            else self.start_request(request, step=step, seconds=seconds)
        )
        with closing(started) as process:
            return process.wait(deadline)

    def run(
        self,
        command: Sequence[str] | str,
        *,
        deadline: float,
        step: str = "",
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run uses for the same thing
        check: bool = True,
        on_output: Callable[[bytes], None] | None = None,
        hold_input: bool = False,
    ) -> Completed:
        """Run a command to its end and return its status and output.

        `deadline` is in seconds. `on_output` gets standard output while the command runs; it is then not returned.
        `hold_input` keeps the command's input open, so that the command detects the end of the client. Raises
        DeadlinePassed, ConnectionLost, and CommandFailed when `check` is set and the status is not 0.
        """
        name = step or (command if isinstance(command, str) else command[0])
        with closing(self.start(command, name)) as process:
            done = process.wait(deadline, data=input or b"", on_output=on_output, hold_input=hold_input)
        if check and done.status != 0:
            raise CommandFailed(name, done.status, done.stderr or done.stdout)
        return done

    def put_file(self, source: Path | bytes, remote: str, *, deadline: float, mode: int = 0o600) -> str:
        """Upload a file or bytes to `remote`; return the SHA-256 (hex) that the host computed.

        Atomic: the content is written beside its name as `.part-<hash>` and renamed after the host found the same
        hash. A part that an earlier attempt left of the same content is resumed. Raises UploadFailed, and DiskFull
        before a byte is sent.
        """
        return self.send(Upload.of(source), remote, deadline=deadline, mode=mode).sha256

    def send(
        self,
        upload: Upload,
        remote: str,
        *,
        deadline: float,
        mode: int = 0o600,
        root: str = "",
        journal: JournalStep | None = None,
    ) -> Upload:
        """Upload as `put_file` does; return the upload with the number of bytes sent. Journal the step below `root`."""
        step, request = f"upload of {remote}", upload.request(remote, mode, root, journal)
        if len(upload.content) > _SHARED_BYTES:
            # No other request waits behind a long one.
            started = self.start_alone(request, step=step)
        else:
            started = self.start_request(request, step=step, seconds=deadline + _GRACE_SECONDS)
        with closing(started) as process:
            offer = process.read_line(deadline)
            rest = upload.answer(offer, remote)
            done = process.wait(deadline, data=rest)
        upload.check(done, remote)
        return upload

    def open_tunnel(self, port: int, timeout: float) -> paramiko.Channel:
        """Return a stream to a port of the host's loopback address. Raises Unreachable."""
        if self._allowed is not None:
            raise WriteRefused(f"a tunnel to port {port}")
        where = f"127.0.0.1:{port} on {self.target.host}"
        try:
            channel = self._transport.open_channel(
                "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=timeout
            )
        except BROKEN as error:
            raise Unreachable(where, "nothing listens there") from error
        channel.settimeout(timeout)
        return channel

    def _probe(self) -> None:
        """Probe the host every few seconds; close the connection when no response comes in time."""
        while not self._closing.wait(self._limits.probe_every) and self._transport.is_active():
            giving_up = threading.Timer(self._limits.probe_limit, self._give_up)
            giving_up.daemon = True
            giving_up.start()
            try:
                self._transport.global_request("keepalive@openssh.com", wait=True)
            except BROKEN:
                return
            finally:
                giving_up.cancel()

    def _give_up(self) -> None:
        if not self._closing.is_set():
            self.lost = True
            self._hang_up()

    def _hang_up(self) -> None:
        # The outer one first: closing the inner one writes through it, and would wait for a host that is gone.
        for transport in (*self._outer, self._transport):
            transport.close()


def step_name(request: Request[Any]) -> str:
    """Return the name of a request as text: `read facts`."""
    return re.sub("(?<!^)(?=[A-Z])", " ", type(request).__name__).lower()
