"""Run one command that changes the host. Argument: {"root", "argv", "seconds", "finish", "log", "note"} as JSON.

Holds the steps' lock while it runs. Ends the command after its time (status 124), or when our input
ends because the client is gone, unless it is one that must come to its end. Output of both kinds goes
to ours and, if asked for, to a log.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time

from provisioning.agent.command.container_exec import Inside, inside
from provisioning.agent.store.journal import Journal, hold_steps


class Command:
    """A command of the host, in a session of its own."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def fileno(self) -> int:
        return self._output.fileno()

    def read(self) -> bytes | None:
        """What it printed of both kinds; nothing when it has closed both."""
        return os.read(self.fileno(), 65536)

    def end(self) -> None:
        """End it and all that it started."""
        for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(patience)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def status(self) -> int:
        """Its exit status, as soon as it has one."""
        return self._process.wait()


spec = json.loads(sys.argv[1])
lock = hold_steps(spec["root"])
journal = Journal(spec["note"])
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
log = None
if spec["log"]:
    os.makedirs(os.path.dirname(spec["log"]), exist_ok=True)
    log = open(spec["log"], "ab")
# Nothing of the caller's environment may give a compose variable another value than the env file.
kept = {
    name: os.environ[name]
    for name in ("PATH", "HOME", "LANG", "USER", "DOCKER_HOST", "XDG_RUNTIME_DIR")
    if name in os.environ
}
environment = {**kept, "BUILDKIT_PROGRESS": "plain", "COMPOSE_ANSI": "never", "DOCKER_CLI_HINTS": "false"}
if not os.access(kept.get("HOME", ""), os.W_OK):
    # A build keeps its records in the home directory, and not every user has one that can be written to.
    environment["BUILDX_CONFIG"] = os.path.join(spec["root"], "buildx")
journal.begin()
ends = time.monotonic() + spec["seconds"]
begun: list[Command | Inside] = []


def broken(*_: object) -> None:
    """Somebody broke the lock of the push that this step belongs to."""
    for one in begun:
        one.end()
    journal.end(143)
    os._exit(143)


signal.signal(signal.SIGTERM, broken)
running: Command | Inside = inside(spec["argv"], ends) or Command(spec["argv"], environment)
begun.append(running)
watched: list[Command | Inside | int] = [running, 0]
echo = True
status: int | None = None
while True:
    left = ends - time.monotonic()
    if left <= 0:
        running.end()
        status = 124
        break
    ready = select.select(watched, [], [], min(left, 5))[0]
    if 0 in ready and not os.read(0, 4096):
        watched.remove(0)
        if not spec["finish"]:
            running.end()
            status = 129
            break
    if running in ready:
        chunk = running.read()
        if chunk is None:
            continue
        if not chunk:
            break
        if log:
            log.write(chunk)
            log.flush()
        try:
            if echo:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except OSError:
            echo = False
code = running.status() if status is None else status
code = code if 0 <= code < 256 else 128 - code
journal.end(code)
os._exit(code)
