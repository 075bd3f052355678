"""Run the other scripts, each as a process of its own that is forked from this one, so that none has to start a Python.

Says "ready" and then speaks in frames, both ways: a letter, the number of a run, a length, and that many bytes.
To us: K keep a script (its name, a NUL, its text packed by zlib), G keep in the same way what scripts are given by
name, S start one (JSON: "script", "arguments", "seconds" or null), I input for it, E the end of its input, C close its
streams. From us: O and R what it printed on its output and its error output, X its exit status, -1 where a signal
ended it.
A run that is still there after its seconds is ended with its process group. When our input ends, all streams are
closed, as they are when an SSH session ends, and we stay only for the runs whose time has to be kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import NoReturn

HEAD = struct.Struct(">cIi")
CHUNK = 65536


class Run:
    """One script that runs: its process, the pipes to it, and when its time is over."""

    def __init__(self, number: int, pid: int, pipes: tuple[int, int, int], seconds: float | None) -> None:
        self.number = number
        self.pid = pid
        self.input, self.output, self.errors = pipes
        self.waiting = bytearray()
        self.input_over = False
        self.ends = time.monotonic() + seconds if seconds else None
        for pipe in pipes:
            os.set_blocking(pipe, False)

    def feed(self) -> None:
        """Write what the pipe takes of the input that came, and close it behind the last of it."""
        try:
            while self.waiting and self.input >= 0:
                del self.waiting[: os.write(self.input, self.waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.waiting.clear()
        if self.input_over and self.input >= 0:
            os.close(self.input)
            self.input = -1

    def watch(self, poll: select.poll, places: dict[int, Run]) -> None:
        """Have the poll notice what it prints, and room for the input that waits."""
        for pipe in (self.output, self.errors):
            if pipe >= 0:
                poll.register(pipe, select.POLLIN)
                places[pipe] = self
        if self.waiting and self.input >= 0:
            poll.register(self.input, select.POLLOUT)
            places[self.input] = self

    def serve(self, place: int) -> None:
        """Deal with a pipe that the poll has noticed; it may have been closed since."""
        if place == self.input:
            self.feed()
        elif place in (self.output, self.errors):
            pass_on(self, place)

    def close(self) -> None:
        """Close its streams; it goes on, sees the end of its input, and nobody hears it."""
        for pipe in (self.input, self.output, self.errors):
            if pipe >= 0:
                os.close(pipe)
        self.input = self.output = self.errors = -1


kept: dict[str, CodeType | bytes] = {}
unread: dict[str, bytes] = {}
given: dict[str, bytes] = {}
runs: dict[int, Run] = {}
listening = True
answered = False
rest = b""
# What the scripts after the first import.
later = ["re", "typing", "subprocess", "shutil", "errno", "datetime", "tarfile"]


def tell(kind: bytes, number: int, content: bytes) -> None:
    global listening
    data = HEAD.pack(kind, number, len(content)) + content
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        listening = False


def become(code: CodeType | bytes, name: str, arguments: list[str], pipes: list[int]) -> NoReturn:
    """This is the child: be what `python3 -c` would be with this script."""
    status = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for place, pipe in enumerate(pipes):
            os.dup2(pipe, place)
        # Streams of other runs would not end as long as we had them too.
        os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
        sys.argv = [name, *arguments]
        exec(code, {"__name__": "__main__", "GIVEN": given})  # noqa: S102 - that is what we are for
        status = 0
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            status = (error.code or 0) & 255
        else:
            print(error.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def read(name: str) -> None:
    """Compile a script that was kept as text. One that this Python does not understand says so when it runs."""
    text = kept[name] = unread.pop(name)
    with contextlib.suppress(SyntaxError):
        kept[name] = compile(text, name, "exec", dont_inherit=True)


def start(number: int, request: dict[str, object]) -> None:
    name, seconds = str(request["script"]), request["seconds"]
    arguments = request["arguments"]
    assert isinstance(arguments, list)
    if name in unread:
        read(name)
    assert seconds is None or isinstance(seconds, (int, float))
    pairs = [os.pipe() for _ in range(3)]
    theirs = [pairs[0][0], pairs[1][1], pairs[2][1]]
    ours = (pairs[0][1], pairs[1][0], pairs[2][0])
    try:
        pid = os.fork()
    except OSError as error:
        for pipe in (*theirs, *ours):
            os.close(pipe)
        tell(b"R", number, f"no process could be made: {error.strerror}".encode())
        tell(b"X", number, b"-1")
        return
    if pid == 0:
        become(kept[name], name, arguments, theirs)
    for pipe in theirs:
        os.close(pipe)
    runs[number] = Run(number, pid, ours, seconds)


def obey(kind: bytes, number: int, content: bytes) -> None:
    if kind in (b"K", b"G"):
        name, _, packed = content.partition(b"\0")
        (unread if kind == b"K" else given)[name.decode()] = zlib.decompress(packed)
    elif kind == b"S":
        start(number, json.loads(content))
    elif number in runs:
        run = runs[number]
        if kind == b"I":
            run.waiting += content
        else:
            run.input_over = True
        run.feed()
        if kind == b"C":
            run.close()


def hear() -> None:
    """Read what came, and do what is whole of it."""
    global listening, rest
    chunk = os.read(0, CHUNK)
    if not chunk:
        listening = False
    rest += chunk
    while len(rest) >= HEAD.size:
        kind, number, length = HEAD.unpack_from(rest)
        if len(rest) < HEAD.size + length:
            break
        content, rest = rest[HEAD.size : HEAD.size + length], rest[HEAD.size + length :]
        obey(kind, number, content)


def pass_on(run: Run, pipe: int) -> bool:
    """Tell what a run printed; False where there is nothing more now."""
    try:
        chunk = os.read(pipe, CHUNK)
    except OSError:
        return False
    if chunk:
        tell(b"O" if pipe == run.output else b"R", run.number, chunk)
    elif pipe == run.output:
        os.close(pipe)
        run.output = -1
    else:
        os.close(pipe)
        run.errors = -1
    return bool(chunk)


def look_after(run: Run) -> None:
    """See whether it has ended, or has to be."""
    global answered
    pid, code = os.waitpid(run.pid, os.WNOHANG)
    if pid == 0:
        if run.ends is not None and time.monotonic() >= run.ends:
            run.ends = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        return
    for name in ("output", "errors"):
        while getattr(run, name) >= 0 and pass_on(run, getattr(run, name)):
            pass
    run.close()
    del runs[run.number]
    answered = True
    if listening:
        tell(b"X", run.number, str(os.WEXITSTATUS(code) if os.WIFEXITED(code) else -1).encode())


def turn() -> None:
    """Wait for what comes next, and deal with it."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    if listening:
        poll.register(0, select.POLLIN)
    places: dict[int, Run] = {}
    for run in runs.values():
        run.watch(poll, places)
    times = [run.ends for run in runs.values() if run.ends is not None]
    left = max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None
    ahead = answered and bool(unread or later)
    found = poll.poll(0 if ahead else left)
    if ahead and not found:
        # Whoever goes on after the first answer will need these, and has nothing else for us to do yet.
        if unread:
            read(next(iter(unread)))
        else:
            __import__(later.pop(0))
        return
    for place, _ in found:
        if place == wake:
            os.read(wake, CHUNK)
        elif place == 0:
            hear()
        else:
            places[place].serve(place)
    for run in list(runs.values()):
        look_after(run)


wake, waker = os.pipe()
for end in (wake, waker):
    os.set_blocking(end, False)
    fcntl.fcntl(end, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
signal.signal(signal.SIGCHLD, lambda *_: None)
os.write(1, b"ready\n")
# The first question is nearly always how the host is, and these are what its script imports.
import hashlib  # noqa: E402, F401
import socket  # noqa: E402, F401

while listening:
    turn()
for run in list(runs.values()):
    run.close()
    if run.ends is None:
        del runs[run.number]
while runs:
    turn()
