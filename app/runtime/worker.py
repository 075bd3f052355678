"""One process that answers: a front on a listening socket, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from app.api.factory import build_worker
from app.errors import ServerError
from app.http.protocol import Connection
from app.launcher_api import is_serving
from app.runtime.self_check import prove
from app.runtime.server import Front

if TYPE_CHECKING:
    from app.api.factory import Worker
    from app.launcher_api import Launcher
    from app.settings import ApiSettings

log = logging.getLogger("app")
BACKLOG = 2048
LAST_WORD_SECONDS = 0.3
"""After a stop: a client that sends on a kept connection within this time gets its answer, and the word to close it."""
RETIRED_WORD_SECONDS = 5.0
"""The same where others answer already, so that nobody waits for the end of this worker."""


@dataclass(frozen=True)
class Times:
    """Seconds that answers which are due get."""

    stop: float
    """After SIGTERM."""
    retire: float
    """After SIGUSR1."""


def run(settings: ApiSettings, number: int, listener: socket.socket, times: Times, launcher: Launcher) -> int:
    """Serve as the `number`th worker on this socket until SIGTERM, or until the parent is gone; 0. SIGHUP: new models.

    SIGUSR1: leave the socket to others, and end. Raises ServerError where it would take over from others that serve
    and does not answer as it should.
    """
    # Where an earlier worker left it closed, as when somebody stopped that one alone.
    listener.listen(BACKLOG)
    worker = build_worker(settings, number=number, launcher=launcher)
    takes_over = not is_serving(launcher)
    if takes_over:
        _refuse_to_lose_an_arm(worker)
    # What is here now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        front = Front(worker, runner.get_loop(), settings.port)
        if takes_over:
            runner.run(prove(front, worker.service, next(iter(settings.trusted_hosts), "localhost")))
        runner.run(_serve(front, listener, times, worker, launcher))
    return 0


def _refuse_to_lose_an_arm(worker: Worker) -> None:
    refusals = worker.service.serving.models.refusals
    if refusals:
        version, why = next(iter(refusals.items()))
        raise ServerError(f"model {version} would be off: {why}", hint="")


async def _serve(
    front: Front, listener: socket.socket, times: Times, worker: Worker, launcher: Launcher
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
    # Ctrl-C goes to the whole group; the parent tells us when it is time.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(front, one_at_a_time))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    one_at_a_time = asyncio.Lock()
    loop.add_signal_handler(signal.SIGHUP, reload)
    # One that came while the models were being loaded comes now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1})
    parent = os.getppid()
    server = await loop.create_server(partial(Connection, front), sock=listener, backlog=BACKLOG)
    launcher.up()
    while not stopped.is_set():
        front.tick()
        if os.getppid() != parent:
            log.error("the parent process is gone")
            break
        try:
            async with asyncio.timeout(1):
                await stopped.wait()
        except TimeoutError:
            continue
    deadline = loop.time() + (times.retire if retired else times.stop)
    # Whoever has connected by now is answered.
    await asyncio.sleep(0)
    if retired:
        worker.board.clear()
    elif is_serving(launcher):
        # From here on the kernel refuses, also where the parent holds the socket.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    server.close()
    front.stop()
    await front.drained(RETIRED_WORD_SECONDS if retired else LAST_WORD_SECONDS)
    front.close_idle()
    await front.drained(deadline - loop.time())
    front.end()


async def _reload(front: Front, one_at_a_time: asyncio.Lock) -> None:
    async with one_at_a_time:
        try:
            await front.reload()
        except Exception:
            log.exception("the new models could not be looked at; the old ones go on")
