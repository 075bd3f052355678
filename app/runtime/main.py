"""Run the service, a parent process with workers, until SIGTERM. `python -m app.runtime.main`, or the launcher.

SIGUSR1 retires it: it finishes its requests and leaves the sockets to a newer generation.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import shutil
import socket
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.errors import ApiError, ServerError, SettingsError
from app.launcher_api import Standalone
from app.log import configure
from app.runtime.supervisor import Child, Supervisor
from app.settings import ApiSettings, metrics_dir
from app.shm.private_directory import HINT, make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from app.launcher_api import Launcher

ADDRESS = "0.0.0.0"  # noqa: S104 - the container's network decides who reaches it
STOP_SECONDS = 8
"""Time for a worker to finish its requests after SIGTERM; compose's stop_grace_period must be longer."""
RETIRE_SECONDS = 30
"""The same after SIGUSR1; the launcher's timeout must be longer."""
log = logging.getLogger("app")


def main(launcher: Launcher | None = None) -> int:
    """Serve until a signal. Return 0 after a stop, 1 where the start or the workers failed, 2 for a wrong setting."""
    launcher = launcher or Standalone()
    configure("INFO")
    try:
        settings = ApiSettings.from_environ(os.environ)
        configure(settings.log_level)
        for warning in settings.warnings:
            log.warning("%s", warning)
        # The lock is held until the end of the process.
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
    """Run the workers until a stop; raise ServerError when they keep dying."""
    # One row of a forest needs no thread pool, and a process with threads must not fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    listeners = listening(settings, launcher.handed[1:])
    launcher.holds([lock, *(listener.fileno() for listener in listeners)], len(listeners))
    # Imported once, before the fork: the workers share the memory, and a replaced one starts at once.
    from app.experiment import recorder
    from app.runtime import worker

    # A collection writes to every object that it visits, and a written page is no longer shared: 25 MB of two workers.
    gc.collect()
    gc.freeze()
    timeouts = worker.Timeouts(STOP_SECONDS, RETIRE_SECONDS)
    children = [
        Child(
            f"worker {number}",
            partial(_reported, launcher, partial(worker.run, settings, number, listener, timeouts, launcher)),
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
        # Started by hand it may outlive its parent.
        parent=None if launcher.status is None else os.getppid(),
    )
    if not supervisor.run():
        raise ServerError("the workers keep failing.", hint="Their errors are in the lines above.")
    log.info("stopped")


def _reported(launcher: Launcher, run: Callable[[], int]) -> int:
    """Run a worker; report the error that ends it to the launcher."""
    try:
        return run()
    except BaseException as error:
        launcher.failed(f"{type(error).__name__}: {error}")
        raise


def listening(settings: ApiSettings, handed: Sequence[int]) -> list[socket.socket]:
    """Return a listening socket for each worker: handed-over ones first. Close the handed-over ones beyond that."""
    given = [socket.socket(fileno=descriptor) for descriptor in handed]
    for spare in given[settings.workers :]:
        spare.close()
    given = given[: settings.workers]
    return given + [listen(settings.port) for _ in range(settings.workers - len(given))]


def listen(port: int) -> socket.socket:
    """Return a listening socket for one worker; the kernel spreads connections over those of the port.

    The parent keeps it open, so that connections in its queue outlive a worker and reach its replacement.
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
    """Lock the state directory and reset its counters; yield the descriptor of the lock.

    A handed-over lock is held already, and the counters continue. Raise ServerError where another server holds the
    lock, or the directory cannot be used.
    """
    if handed:
        yield handed[0]
        return
    make_private(state_dir)
    try:
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerError(f"{state_dir} cannot be used: {error.strerror}.", hint=HINT) from error
    try:
        _take(lock, state_dir)
        for stale in (metrics_dir(state_dir), state_dir / "workers"):
            shutil.rmtree(stale, ignore_errors=True)
        metrics_dir(state_dir).mkdir(mode=0o700, exist_ok=True)
        yield lock
    finally:
        os.close(lock)


def refuse_taken_port(port: int) -> None:
    """Raise ServerError where another process listens on the port.

    With SO_REUSEPORT a second server would otherwise get half of the first one's connections.
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
