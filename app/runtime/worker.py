"""A worker process: serves one listening socket until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from app.api.factory import build_worker
from app.errors import ServerError
from app.launcher_api import is_serving
from app.runtime.self_check import self_check
from app.runtime.server import Server

if TYPE_CHECKING:
    from app.api.factory import Worker
    from app.launcher_api import Launcher
    from app.settings import ApiSettings

log = logging.getLogger("app")
BACKLOG = 2048
LAST_REQUEST_SECONDS = 0.3
"""After a stop: time for one more request on a kept connection; its response ends the connection."""
RETIRED_REQUEST_SECONDS = 5.0
"""The same where a newer generation serves already, so that nothing waits for the end of this worker."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds to finish the responses that are due."""

    stop: float
    """After SIGTERM."""
    retire: float
    """After SIGUSR1."""


def run(
    settings: ApiSettings, number: int, listener: socket.socket, timeouts: Timeouts, launcher: Launcher
) -> int:
    """Serve as worker `number` on this socket until SIGTERM, or until the parent process ends; return 0.

    SIGHUP reloads the models. SIGUSR1 retires the worker: it leaves the socket to a newer generation, and ends. Raise
    ServerError where the worker would take over from an older generation and its self-check fails.
    """
    # A worker that was stopped alone has shut the socket down.
    listener.listen(BACKLOG)
    worker = build_worker(settings, number=number, launcher=launcher)
    takes_over = not is_serving(launcher)
    if takes_over:
        _require_all_models(worker)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        server = Server(worker, runner.get_loop(), settings.port)
        if takes_over:
            runner.run(self_check(server, worker.service, next(iter(settings.trusted_hosts), "localhost")))
        runner.run(_serve(server, listener, timeouts, worker, launcher))
    return 0


def _require_all_models(worker: Worker) -> None:
    refusals = worker.service.bundle.models.refusals
    if refusals:
        version, why = next(iter(refusals.items()))
        raise ServerError(f"model {version} would be unavailable: {why}", hint="")


async def _serve(
    server: Server, listener: socket.socket, timeouts: Timeouts, worker: Worker, launcher: Launcher
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    retired = False

    def retire() -> None:
        nonlocal retired
        retired = True
        stopped.set()

    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, retire)
    # Ctrl-C reaches the whole process group; the parent decides when the worker stops.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    reloads: set[asyncio.Task[None]] = set()
    one_at_a_time = asyncio.Lock()

    def reload() -> None:
        task = loop.create_task(_reload(server, one_at_a_time))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    # Delivers a signal that came while the models were loaded.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1})
    parent = os.getppid()
    accepting = await loop.create_server(server.connect, sock=listener, backlog=BACKLOG)
    launcher.up()
    while not stopped.is_set():
        server.tick()
        if os.getppid() != parent:
            log.error("the parent process is gone")
            break
        try:
            async with asyncio.timeout(1):
                await stopped.wait()
        except TimeoutError:
            continue
    deadline = loop.time() + (timeouts.retire if retired else timeouts.stop)
    # Connections that the kernel has completed by now are accepted.
    await asyncio.sleep(0)
    if retired:
        worker.registry.clear()
    elif is_serving(launcher):
        # The kernel refuses connections from here on, although the parent holds the socket, too.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    accepting.close()
    server.connections.closing = True
    await server.connections.drained(RETIRED_REQUEST_SECONDS if retired else LAST_REQUEST_SECONDS)
    server.connections.close_idle()
    await server.connections.drained(deadline - loop.time())
    server.end()


async def _reload(server: Server, one_at_a_time: asyncio.Lock) -> None:
    async with one_at_a_time:
        try:
            await server.reload()
        except Exception:
            log.exception("the new models could not be loaded; the current ones stay")
