"""The front of one worker: predictions are answered here, all else by Flask in a few threads.

Requests that arrive in the same turn of the event loop are scored together. Nothing waits for that: while the models
work on one group, the next one gathers in the sockets, so groups grow with the load and shrink to one without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.errors import InvalidRequestError
from app.http import wsgi
from app.http.access_control import PREFLIGHT, Refusal
from app.inference.predict import Answer, Job
from app.traffic.routing_hints import asked
from app.wire.body import require_json
from app.wire.problems import CONTENT_TYPE as PROBLEM
from app.wire.problems import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.api.factory import Worker
    from app.http.messages import Head, Request
    from app.http.protocol import Connection

log = logging.getLogger("app")

MAX_CONNECTIONS = 2000
"""Of one worker; more are answered 503 at once."""
MAX_HELD = 32 * 1024 * 1024
"""Bytes that one worker keeps for clients that do not read or do not go on; who makes it keep more is dropped."""
THREADS = 4
"""For what Flask answers."""
PREDICT = b"/predict"
RING_SECONDS = 5.0
UNHANDLED = "unhandled error"
SECURITY = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\n"
POLICY = b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OURS = frozenset({"content-type", "content-length", "connection", "date", "server"})


class Front:
    """Answers the requests of all connections of one worker; see `app.http.protocol.Handler`."""

    def __init__(
        self, worker: Worker, loop: asyncio.AbstractEventLoop, port: int, *, direct: bool = True
    ) -> None:
        """direct: answer predictions here; False sends them through Flask as well, for comparison."""
        self._worker = worker
        self._service = worker.service
        self._gate = worker.gate
        self._loop = loop
        self._port = port
        self._direct = direct
        self._threads = ThreadPoolExecutor(THREADS, "flask")
        self._connections: set[Connection] = set()
        self._access = worker.access
        self._least_logged = worker.access.least_status
        self._writing = False
        self._held: dict[Connection, int] = {}
        self._held_in_all = 0
        self._jobs: list[Job] = []
        self._askers: list[tuple[Connection, Request]] = []
        self._starts: dict[tuple[int, str], bytes] = {}
        self.heads: dict[bytes, Head] = {}
        self._ids = b""
        self._next_id = 0
        self._stopping = False
        self.now = 0.0
        self.tick()

    def tick(self) -> None:
        """Once a second: clocks, and connections that took too long."""
        self.now = self._loop.time()
        # Whole status lines and headers, good for a second.
        self._starts.clear()
        self._write_access_log()
        for connection in [item for item in self._connections if item.deadline < self.now]:
            connection.time_out()

    def stop(self) -> None:
        """From now on every answer ends its connection."""
        self._stopping = True
        for connection in self._connections:
            connection.last_answer()

    def close_idle(self) -> None:
        """End the connections on which nothing is being asked or answered."""
        for connection in list(self._connections):
            connection.close_idle()

    async def drained(self, seconds: float) -> None:
        """Return when no connection is open, or the time is over."""
        deadline = self._loop.time() + seconds
        while self._connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)

    def end(self) -> None:
        """Leave the threads and whatever connection is still open."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._access.write(*self._access.take())

    async def reload(self) -> None:
        """Take up the models that lie in their directory now; the old ones answer until then."""
        old = self._service.serving
        new = await self._loop.run_in_executor(self._threads, self._worker.swap.load)
        if self._worker.swap.take(new):
            # Its jobs of this turn are finished by then.
            self._loop.call_later(RING_SECONDS, old.close)

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for this connection."""
        self._connections.add(connection)
        if len(self._connections) <= MAX_CONNECTIONS:
            return True
        self._worker.metrics.shed()
        return False

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        self._held_in_all -= self._held.pop(connection, 0)

    def holds(self, connection: Connection, count: int) -> None:
        """Note how many bytes are kept for a client; above MAX_HELD in all, who has been held longest is dropped."""
        self._held_in_all += count - self._held.get(connection, 0)
        if count:
            self._held[connection] = count
        else:
            self._held.pop(connection, None)
        while self._held_in_all > MAX_HELD:
            oldest = next(iter(self._held))
            self._held_in_all -= self._held.pop(oldest)
            self._worker.metrics.shed()
            oldest.abort()

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, now or with the others of this turn."""
        if self._stopping:
            request.keep_alive = False
        head = request.head
        if not self._gate.open:
            refusal = self._gate.refusal(request)
            if refusal is not None:
                self._refuse(connection, request, refusal)
                return
        if self._direct and head.target == PREDICT and head.method == b"POST":
            self._predict(connection, request)
        elif head.method == b"OPTIONS" and b"access-control-request-method" in head.headers:
            self._preflight(connection, request)
        else:
            self._loop.run_in_executor(self._threads, self._by_flask, connection, request)

    def refusal(self, connection: Connection, head: Head | None, status: int) -> bytes:
        """Status line and headers of the answer to what cannot be understood, as far as its head was read."""
        name = self._request_id(head.headers if head else {})
        self._access.add(name, head, status, None, None, connection.peer)
        return self._head(status, PROBLEM, head.headers if head else {}, name)

    def _answer(
        self,
        connection: Connection,
        request: Request,
        status: int,
        content_type: str,
        body: bytes,
        *,
        more: bytes = b"",
        own_policy: bool = False,
        version: str | None = None,
    ) -> None:
        """Send an answer and note it. more: headers beside the usual ones; own_policy: one of them is its policy."""
        headers = request.head.headers
        name = self._request_id(headers)
        head = self._head(status, content_type, headers, name)
        if own_policy:
            head = head.replace(POLICY, b"")
        connection.answer(request, head + more, body)
        if status >= self._least_logged and self._access.add(
            name, request.head, status, request.began, version, request.peer
        ):
            self._write_access_log()

    def _write_access_log(self) -> None:
        if self._writing:
            return
        lines, dropped = self._access.take()
        if not lines:
            return
        self._writing = True
        writing = self._loop.run_in_executor(self._threads, self._access.write, lines, dropped)
        writing.add_done_callback(self._written)

    def _written(self, _future: object) -> None:
        self._writing = False

    def _head(self, status: int, content_type: str, headers: Mapping[bytes, bytes], name: bytes) -> bytes:
        start = self._starts.get((status, content_type))
        if start is None:
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {content_type}\r\n"
            date = f"date: {formatdate(usegmt=True)}\r\n"
            start = line.encode() + date.encode() + SECURITY + POLICY
            self._starts[status, content_type] = start
        return b"%bx-request-id: %b\r\n%b" % (start, name, self._gate.cors(headers))

    def _refuse(self, connection: Connection, request: Request, refusal: Refusal) -> None:
        self._worker.metrics.refused(refusal.reason)
        body = problem(refusal.status, refusal.detail)
        self._answer(connection, request, refusal.status, PROBLEM, body, more=refusal.headers)

    def _preflight(self, connection: Connection, request: Request) -> None:
        allowed = b"access-control-allow-origin" in self._gate.cors(request.head.headers)
        more = PREFLIGHT if allowed else b""
        self._answer(connection, request, HTTPStatus.OK, "text/plain", b"", more=more)

    def _predict(self, connection: Connection, request: Request) -> None:
        prepared: Job | Answer
        try:
            ask = request.head.ask
            if ask is None:
                require_json(request.header("Content-Type") or "")
                request.head.ask = ask = asked(request.header)
            prepared = self._service.prepare(request.body, ask)
        except InvalidRequestError as error:
            prepared = self._service.refuse(error)
        except Exception:
            log.exception(UNHANDLED)
            prepared = _bug()
        if isinstance(prepared, Answer):
            self._send(connection, request, prepared)
            return
        self._jobs.append(prepared)
        self._askers.append((connection, request))
        if len(self._jobs) == 1:
            self._loop.call_soon(self._finish)

    def _finish(self) -> None:
        jobs, askers = self._jobs, self._askers
        self._jobs, self._askers = [], []
        try:
            answers = self._service.finish(jobs)
        except Exception:
            log.exception(UNHANDLED)
            answers = [_bug()] * len(jobs)
        for (connection, request), answer in zip(askers, answers, strict=True):
            self._send(connection, request, answer)

    def _send(self, connection: Connection, request: Request, answer: Answer) -> None:
        self._answer(
            connection, request, answer.status, answer.content_type, answer.body, version=answer.version
        )

    def _by_flask(self, connection: Connection, request: Request) -> None:
        try:
            status, headers, body = wsgi.call(self._worker.app, request, self._port)
        except Exception:
            log.exception(UNHANDLED)
            bug = _bug()
            status, headers, body = bug.status, [("Content-Type", PROBLEM)], bug.body
        self._loop.call_soon_threadsafe(self._send_flask, connection, request, status, headers, body)

    def _send_flask(
        self, connection: Connection, request: Request, status: int, headers: wsgi.Headers, body: bytes
    ) -> None:
        given = {name.lower(): value for name, value in headers}
        more = "".join(f"{name}: {value}\r\n" for name, value in given.items() if name not in _OURS)
        self._answer(
            connection,
            request,
            status,
            given.get("content-type", "text/plain"),
            body,
            more=more.encode("latin-1"),
            own_policy="content-security-policy" in given,
        )

    def _request_id(self, headers: Mapping[bytes, bytes]) -> bytes:
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        start = self._next_id
        if start >= len(self._ids):
            self._ids = os.urandom(4096).hex().encode()
            start = 0
        self._next_id = start + 32
        return self._ids[start : start + 32]


def _bug() -> Answer:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Answer(status, problem(status, "the server failed on this request"), PROBLEM)
