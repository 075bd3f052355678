"""`python -m app.server`: the process that serves. Granian, one thread per worker, until SIGTERM."""

from __future__ import annotations

import fcntl
import logging
import logging.config
import os
import shutil
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import ApiError, ServerError, SettingsError
from app.log import logging_config
from app.settings import ApiSettings, metrics_dir
from app.supervision import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

ADDRESS = "0.0.0.0"  # noqa: S104 - the container's network decides who reaches it
THREADS_PER_WORKER = 16
"""A client that stalls in the middle of a body holds one thread; with a single one it would hold the worker."""
STOP_SECONDS = 8
"""What a worker gets to finish its requests; compose's stop_grace_period must be longer."""
log = logging.getLogger("app")


def main() -> int:
    """Serve until told to stop. 0 stopped, 1 the workers or the start failed, 2 a setting is wrong."""
    logging.config.dictConfig(logging_config("INFO"))
    try:
        settings = ApiSettings.from_environ(os.environ)
        logging.config.dictConfig(logging_config(settings.log_level))
        for warning in settings.warnings:
            log.warning("%s", warning)
        # Held open to the end: the lock goes with it.
        with prepared_state(settings.state_dir):
            refuse_taken_port(settings.port)
            with supervised():
                serve(settings)
    except ApiError as error:
        log.critical("%s %s", error, error.hint)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def application() -> Flask:
    """One worker's application; granian calls this in every worker process."""
    from app.factory import build

    settings = ApiSettings.from_environ(os.environ)
    return build(settings)


def serve(settings: ApiSettings) -> None:
    """Run the workers; returns after a stop, exits the process with 1 when workers keep dying."""
    # prometheus_client decides by this variable, when it is first imported, to keep its values in files.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir(settings.state_dir))
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    log.info(
        "serving release %s on port %d with %d workers, weights %d/%d",
        settings.service_digest,
        settings.port,
        settings.workers,
        *settings.weights,
    )
    Server(
        "app.server:application",
        factory=True,
        address=ADDRESS,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=THREADS_PER_WORKER,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
        log_dictconfig=logging_config(settings.log_level),
        log_level=LogLevels(settings.log_level.lower()),
    ).serve()
    log.info("stopped")


@contextmanager
def prepared_state(state_dir: Path) -> Iterator[None]:
    """Hold the state directory, emptied: counters start anew with the service.

    Raises ServerError when another server holds it, or it cannot be written.
    """
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
        shutil.rmtree(metrics_dir(state_dir), ignore_errors=True)
        metrics_dir(state_dir).mkdir(mode=0o700, exist_ok=True)
        yield
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
