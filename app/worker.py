"""One process that answers: a front on a listening socket, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from app.factory import build_worker
from app.front import Front
from app.http1 import Connection

if TYPE_CHECKING:
    from app.settings import ApiSettings

log = logging.getLogger("app")
BACKLOG = 2048
LAST_WORD_SECONDS = 0.3
"""After a stop: a client that sends on a kept connection within this time gets its answer, and the word to close it."""


def run(settings: ApiSettings, number: int, listener: socket.socket, stop_seconds: float) -> int:
    """Serve as the `number`th worker on this socket until SIGTERM, or until the parent is gone; 0. SIGHUP: new models.

    stop_seconds: what answers that are due get after SIGTERM.
    """
    # Where an earlier worker left it closed, as when somebody stopped that one alone.
    listener.listen(BACKLOG)
    worker = build_worker(settings, number=number)
    # What is here now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Front(worker, runner.get_loop(), settings.port), listener, stop_seconds))
    return 0


async def _serve(front: Front, listener: socket.socket, stop_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
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
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    parent = os.getppid()
    server = await loop.create_server(partial(Connection, front), sock=listener, backlog=BACKLOG)
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
    deadline = loop.time() + stop_seconds
    # Whoever has connected by now is answered; from here on the kernel refuses, also where the parent holds the socket.
    await asyncio.sleep(0)
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    server.close()
    front.stop()
    await front.drained(LAST_WORD_SECONDS)
    front.close_idle()
    await front.drained(deadline - loop.time())
    front.end()


async def _reload(front: Front, one_at_a_time: asyncio.Lock) -> None:
    async with one_at_a_time:
        try:
            await front.reload()
        except Exception:
            log.exception("the new models could not be looked at; the old ones go on")
