"""The service: a parent, and workers that answer, until SIGTERM. Start: the launcher, or `python -m app.runtime.main`.

SIGUSR1 lets it go: what it has in hand is answered, and the sockets are left to those who came after it.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import logging.config
import os
import shutil
import socket
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.errors import ApiError, ServerError, SettingsError
from app.launcher_api import Alone
from app.log import logging_config
from app.runtime.supervisor import Child, Supervisor
from app.settings import ApiSettings, metrics_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from app.launcher_api import Launcher

ADDRESS = "0.0.0.0"  # noqa: S104 - the container's network decides who reaches it
STOP_SECONDS = 8
"""What a worker gets to finish its requests; compose's stop_grace_period must be longer."""
RETIRE_SECONDS = 30
"""The same for one that was let go; the launcher's patience must be longer."""
log = logging.getLogger("app")


def main(launcher: Launcher | None = None) -> int:
    """Serve until told to stop. 0 stopped, 1 the workers or the start failed, 2 a setting is wrong."""
    launcher = launcher or Alone()
    logging.config.dictConfig(logging_config("INFO"))
    try:
        settings = ApiSettings.from_environ(os.environ)
        logging.config.dictConfig(logging_config(settings.log_level))
        for warning in settings.warnings:
            log.warning("%s", warning)
        # Held open to the end: the lock goes with it.
        with prepared_state(settings.state_dir, launcher.handed) as lock:
            if not launcher.handed:
                refuse_taken_port(settings.port)
            serve(settings, launcher, lock)
    except ApiError as error:
        log.critical("%s %s", error, error.hint)
        launcher.failed(str(error))
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def serve(settings: ApiSettings, launcher: Launcher, lock: int) -> None:
    """Run the workers; returns after a stop, raises ServerError when they keep dying."""
    # One row of a forest is no work for a pool of threads, and a process with threads must not fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    listeners = listening(settings, launcher.handed[1:])
    launcher.holds([lock, *(listener.fileno() for listener in listeners)], len(listeners))
    # Imported here, once: the workers share the memory, and one that replaces another is there in an instant.
    from app.experiment import recorder
    from app.runtime import worker

    # A collection writes to every object that it looks at, and a page that is written to is shared no longer.
    gc.collect()
    gc.freeze()
    times = worker.Times(STOP_SECONDS, RETIRE_SECONDS)
    children = [
        Child(
            f"worker {number}",
            partial(_told, launcher, partial(worker.run, settings, number, listener, times, launcher)),
        )
        for number, listener in enumerate(listeners)
    ]
    children.append(Child("recorder", partial(recorder.run, settings), vital=False))
    log.info(
        "serving release %s on port %d with %d workers, weights %d/%d",
        settings.service_digest,
        settings.port,
        settings.workers,
        *settings.weights,
    )
    supervisor = Supervisor(
        children,
        stop_seconds=STOP_SECONDS + 1,
        retire_seconds=RETIRE_SECONDS + 1,
        # By hand it may well outlive whoever started it.
        parent=None if launcher.status is None else os.getppid(),
    )
    if not supervisor.run():
        raise ServerError("the workers do not stay up.", hint="Their errors stand above.")
    log.info("stopped")


def _told(launcher: Launcher, run: Callable[[], int]) -> int:
    """Run a worker; what it fails with is told to the launcher, too."""
    try:
        return run()
    except BaseException as error:
        launcher.failed(f"{type(error).__name__}: {error}")
        raise


def listening(settings: ApiSettings, handed: Sequence[int]) -> list[socket.socket]:
    """A listening socket for each worker: those that were handed over first, and no more of them than are used."""
    given = [socket.socket(fileno=descriptor) for descriptor in handed]
    for spare in given[settings.workers :]:
        spare.close()
    given = given[: settings.workers]
    return given + [listen(settings.port) for _ in range(settings.workers - len(given))]


def listen(port: int) -> socket.socket:
    """A listening socket of its own for one worker; the kernel spreads the connections over all of them.

    The parent keeps it: connections that wait in it outlive the worker and are taken by the one that replaces it.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((ADDRESS, port))
    listener.listen()
    listener.setblocking(False)
    return listener


@contextmanager
def prepared_state(state_dir: Path, handed: Sequence[int]) -> Iterator[int]:
    """Hold the state directory, emptied, as the descriptor of its lock: counters start anew with the service.

    One that was handed over is held already, and its counters go on. Raises ServerError when another server holds
    it, or it cannot be written.
    """
    if handed:
        yield handed[0]
        return
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerError(
            f"{state_dir} cannot be used: {error.strerror}.",
            hint="Set ONEBOX_STATE_DIR to a directory that this user can write.",
        ) from error
    try:
        _take(lock, state_dir)
        for stale in (metrics_dir(state_dir), state_dir / "workers"):
            shutil.rmtree(stale, ignore_errors=True)
        metrics_dir(state_dir).mkdir(mode=0o700, exist_ok=True)
        yield lock
    finally:
        os.close(lock)


def refuse_taken_port(port: int) -> None:
    """Raise ServerError if somebody listens on the port.

    Workers bind with SO_REUSEPORT, which would let a second server take half of the first one's connections.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise ServerError(
                f"port {port} cannot be used: {error.strerror}.",
                hint="Stop what listens there, or set API_PORT.",
            ) from error


def _take(lock: int, state_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ServerError(
            f"another server uses {state_dir}.", hint="Stop it, or set ONEBOX_STATE_DIR to another directory."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
