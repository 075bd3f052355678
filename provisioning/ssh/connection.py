"""A logged-in connection: commands, scripts, uploads and tunnels, none of which can wait for ever."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import paramiko

from provisioning.agent import script
from provisioning.config.settings import Target
from provisioning.host_errors import CommandFailed, ConnectionLost, Unreachable
from provisioning.ssh.process import Completed, Process
from provisioning.ssh.rpc import Runner
from provisioning.ssh.timeouts import BROKEN, Timeouts
from provisioning.ssh.upload import Upload

_GRACE_SECONDS = 1.0
_START_SECONDS = 30.0
_SHARED_BYTES = 256 * 1024
NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Connection:
    """A logged-in connection. Use it as a context manager; it closes itself when the host goes silent."""

    def __init__(self, transports: tuple[paramiko.Transport, ...], target: Target, limits: Timeouts) -> None:
        self.target = target
        self.lost = False
        self._transport = transports[-1]
        self._outer = transports[:-1]
        # What a shell's start-up files print comes before it, and is no part of an answer.
        self._marker = f"onebox-{secrets.token_hex(8)}"
        self._limits = limits
        self._closing = threading.Event()
        self._runner: Runner | None = None
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
        """Whether the host still answered at the last probe."""
        return self._transport.is_active() and not self.lost

    def start(self, command: Sequence[str] | str, step: str) -> Process:
        """Start a command (argv, or a line for the remote shell) without waiting for it."""
        line = command if isinstance(command, str) else f"exec {shlex.join(command)}"
        try:
            channel = self._transport.open_session(timeout=self._limits.channel)
            channel.settimeout(self._limits.channel)
            channel.exec_command(f"echo {self._marker}; {line}")
        except BROKEN as error:
            raise ConnectionLost(self.target.address, step) from error
        marker = f"{self._marker}\n".encode()
        return Process(channel, self.target.address, step, lambda: self.active, BROKEN, marker)

    def start_script(
        self,
        name: str,
        *arguments: str,
        step: str,
        seconds: float | None = None,
        given: Mapping[str, bytes] = NOTHING,
    ) -> Process:
        """Start one of the scripts of `provisioning/agent/` without waiting for it.

        All of them are run by one Python on the host, which the first of them starts; each is a process of
        its own there. After `seconds` it is ended with its process group. What is `given` by name travels once.
        """
        try:
            stream = self._running(step, min(_START_SECONDS, seconds or _START_SECONDS)).start(
                name, arguments, seconds, given
            )
        except BROKEN as error:
            raise ConnectionLost(self.target.address, step) from error
        return Process(stream, self.target.address, step, lambda: self.active, BROKEN, pause=stream.pause)

    def send_ahead(self, names: Sequence[str]) -> None:
        """Send scripts of `provisioning/agent/` that will be run soon, so that none of them is waited for."""
        # Whoever runs one is told that the connection is gone.
        with contextlib.suppress(*BROKEN):
            if self._runner is not None:
                self._runner.keep(names)

    def _running(self, step: str, deadline: float) -> Runner:
        with self._starting:
            if self._runner is None or self._runner.over:
                process = self.start(_python("server.py"), step)
                if process.read_line(deadline) != "ready":
                    done = process.wait(deadline)
                    raise CommandFailed(step, done.status, done.stderr or done.stdout)
                self._runner = Runner(*process.taken_over(), broken=BROKEN)
            return self._runner

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
        """Run a command to its end and return what it said.

        `deadline` is in seconds. `on_output` gets standard output as it comes instead of it being kept.
        `hold_input` keeps the command's input open, so that it can tell that we are gone. Raises
        DeadlinePassed, ConnectionLost, and CommandFailed when `check` is set and the status is not 0.
        """
        name = step or (command if isinstance(command, str) else command[0])
        with closing(self.start(command, name)) as process:
            done = process.wait(deadline, data=input or b"", on_output=on_output, hold_input=hold_input)
        if check and done.status != 0:
            raise CommandFailed(name, done.status, done.stderr or done.stdout)
        return done

    def run_script(
        self,
        name: str,
        *arguments: str,
        deadline: float,
        step: str = "",
        input: bytes | None = None,  # noqa: A002
        check: bool = True,
        sudo: bool = False,
        on_output: Callable[[bytes], None] | None = None,
        hold_input: bool = False,
        given: Mapping[str, bytes] = NOTHING,
    ) -> Completed:
        """Run one of the Python scripts of `provisioning/agent/` on the host; otherwise as `run`.

        It is ended there when its deadline has passed, but for one whose input is held: that keeps its own time.
        """
        if sudo:
            argv = ["sudo", "-n", *_python(name), *arguments]
            done = self.run(argv, deadline=deadline, step=step or name, input=input, check=False)
        else:
            limit = None if hold_input else deadline + _GRACE_SECONDS
            with closing(
                self.start_script(name, *arguments, step=step or name, seconds=limit, given=given)
            ) as process:
                done = process.wait(deadline, data=input or b"", on_output=on_output, hold_input=hold_input)
        if check and done.status != 0:
            refused = sudo and done.stderr.lstrip().startswith("sudo:")
            hint = f"{self.target.user} must be allowed `sudo -n` without a password." if refused else ""
            raise CommandFailed(step or name, done.status, done.stderr or done.stdout, hint=hint)
        return done

    def put_file(self, source: Path | bytes, remote: str, *, deadline: float, mode: int = 0o600) -> str:
        """Bring a file or bytes to `remote` and return its SHA-256 (hex), as the host computed it.

        It is written beside its name as `.part-<hash>` and renamed only after the host found the same
        hash, so a reader sees the old file or the whole new one. What an earlier try left of the same
        content is continued. Raises UploadFailed, and DiskFull before a byte is sent.
        """
        return self.send(Upload.of(source), remote, deadline=deadline, mode=mode).sha256

    def send(
        self, upload: Upload, remote: str, *, deadline: float, mode: int = 0o600, note: str = ""
    ) -> Upload:
        """As `put_file`, for an upload that tells afterwards how much was sent; `note` goes to the journal."""
        step, arguments = f"upload of {remote}", [*upload.arguments(remote, mode), note]
        if len(upload.content) > _SHARED_BYTES:
            # Nothing else waits behind a long one.
            started = self.start([*_python("receive.py"), *arguments], step)
        else:
            started = self.start_script(
                "receive.py", *arguments, step=step, seconds=deadline + _GRACE_SECONDS
            )
        with closing(started) as process:
            offer = process.read_line(deadline)
            rest = upload.answer(offer, remote)
            done = process.wait(deadline, data=rest)
        upload.check(done, remote)
        return upload

    def open_tunnel(self, port: int, timeout: float) -> paramiko.Channel:
        """A stream to a port on the host's own loopback address. Raises Unreachable."""
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
        """Ask the host for an answer every few seconds; close everything when none comes in time."""
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


def _python(name: str) -> list[str]:
    # Alone with its standard library: what else is installed there is none of its business, and takes time to find.
    return ["python3", "-IS", "-c", script(name)]
