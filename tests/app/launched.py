"""A launcher whose code and models a test replaces, and clients that send requests meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.app.processes import free_port, get, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 30.0
IGNORED = shutil.ignore_patterns("__pycache__", "artifacts", "training")
PREDICTION = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})


class Launched:
    """A launcher whose code lies in a directory that a test changes as a push does."""

    def __init__(self, source: Path, place: Path, folder: str) -> None:
        """source: the repository's code; folder: directory below `place` for the changed copies of it."""
        self._source, self._place, self._folder = source, place, folder
        self.log = place / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._link = place / "code"

    def put(self, change: Callable[[Path], None]) -> Path:
        """Replace the launcher's code with a changed copy of the repository's; return the copy."""
        self._number += 1
        code = self._place / self._folder / f"code-{self._number}"
        shutil.copytree(self._source, code, ignore=IGNORED)
        change(code)
        new = self._place / "new"
        new.symlink_to(code)
        new.replace(self._link)
        return code

    def as_on_host(self, change: Callable[[Path], None], digest: Callable[[Path], str]) -> None:
        """Replace the code as a push does that has verified it, with the previous code kept beside it."""
        live = self._place / "live"
        for name in ("before", "now"):
            shutil.copytree(self._source, live / ".data" / name, ignore=IGNORED)
        change(live / ".data/now")
        (live / ".current").symlink_to(".data/now")
        for entry in (live / ".data/now").iterdir():
            (live / entry.name).symlink_to(f".current/{entry.name}")
        (live / ".in-force").write_text(digest(live))
        self._link.unlink()
        self._link.symlink_to(live)

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @contextmanager
    def run(self, argv: list[str], cwd: Path, environ: dict[str, str]) -> Iterator[None]:
        """`python argv` for as long as the block lasts."""
        own = {
            "PATH": os.environ["PATH"],
            "ONEBOX_CODE_DIR": str(self._link),
            "ONEBOX_STATE_DIR": str(self._place / "state"),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *argv], cwd=cwd, env={**own, **environ}, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            self.process.terminate()
            self.process.wait(30)


class Service(Launched):
    """The API's launcher."""

    def __init__(self, root: Path, place: Path, models: Path, folder: str = "") -> None:
        """folder: directory below `place` for the changed copies of the code."""
        super().__init__(root / "app", place, folder)
        self._root = root
        self.models = place / "models"
        shutil.copytree(models, self.models)
        self.put(as_it_is)

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(self.port, "/config")[1])
        return found

    @property
    def descriptors(self) -> int:
        """Number of descriptors that the launcher has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def listening(self) -> int:
        """Number of sockets that listen on the service's port."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] == "0A" for row in rows)

    def has_read(self, client: socket.socket) -> bool:
        """Return whether a worker has accepted the client's connection and read all that was sent on it."""
        ours = f":{client.getsockname()[1]:04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ends = [row for row in rows if row[1].endswith(f":{self.port:04X}") and row[2].endswith(ours)]
        # A connection that no process has accepted has no inode.
        return any(row[4].endswith(":00000000") and row[9] != "0" for row in ends)

    @property
    def serving(self) -> str:
        return str(self.config()["code"]["serving"])

    @property
    def refused(self) -> Any:
        return self.config()["code"]["refused"]

    def answers(self, path: str) -> bool:
        try:
            return get(self.port, path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def codes(self) -> list[str]:
        """Digests of the code of the workers that accept connections."""
        return [worker["code"] for worker in self.config()["workers"]]

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    @contextmanager
    def running(self, **more: str) -> Iterator[Service]:
        environ = {"API_PORT": str(self.port), "API_WORKERS": "2", "ONEBOX_MODELS_DIR": str(self.models)}
        with self.run(["-m", "images.api.launcher"], self._root, {**environ, **more}):
            yield self

    def ready(self) -> Service:
        assert self.process is not None
        wait_until_ready(self.port, self.process)  # type: ignore[arg-type]
        return self


def line(text: str) -> Callable[[Path], None]:
    """Code with one more line in it."""
    return lambda code: append(code / "api" / "routes.py", text)


def as_it_is(_code: Path) -> None:
    """The repo's code."""


def append(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text()}\n{text}\n")


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.02)


class Load:
    """Clients that send requests without pause, half of them on a new connection for each request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._counting = threading.Lock()
        self.answered = 0
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(bool(n % 2),)) for n in range(6)]

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(30)

    def _send(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._over.is_set():
            try:
                connection.request("POST", "/predict", PREDICTION, {"Content-Type": "application/json"})
                with connection.getresponse() as response:
                    response.read()
                with self._counting:
                    self.answered += 1
                    self.failed += [f"status {response.status}"] * (response.status != 200)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
        connection.close()
