"""The HTTP server of one worker: predictions on the event loop, everything else in the WSGI application.

A few threads run the application. It has the same access control as the predictions here.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.errors import InvalidRequestError
from app.http import wsgi
from app.http.connections import ConnectionTable
from app.http.protocol import Connection
from app.http.response_headers import REQUEST_ID, SECURITY_HEADERS, encode, request_id
from app.inference.batching import PredictionBatcher
from app.inference.predict import Answer, internal_error
from app.traffic.routing_hints import HINT_HEADERS, NO_HINTS, routing_hints
from app.wire.body import JSON, require_json
from app.wire.problems import CONTENT_TYPE as PROBLEM

if TYPE_CHECKING:
    from app.api.factory import Worker
    from app.http.messages import Head, Request

log = logging.getLogger("app")

THREADS = 4
"""Threads for the WSGI application and for file access."""
PREDICT = b"/predict"
_JSON = JSON.encode()
_HINT_HEADERS = frozenset(name.lower().encode() for name in HINT_HEADERS)
_SECURITY = encode(SECURITY_HEADERS)
_OWN = frozenset({"content-type", "content-length", "connection", "date", "server"})
"""Header fields of the application's responses that this server writes itself."""


class Server:
    """Answers the requests of all connections of one worker; see `app.http.protocol.Handler`."""

    def __init__(
        self, worker: Worker, loop: asyncio.AbstractEventLoop, port: int, *, direct: bool = True
    ) -> None:
        """direct: answer predictions on the loop; False: in the application, to compare the two."""
        self._worker = worker
        self._service = worker.service
        self._access = worker.access
        self._loop = loop
        self._port = port
        self._direct = direct
        self._threads = ThreadPoolExecutor(THREADS, "app")
        self._access_log = worker.access_log
        self._least_logged = worker.access_log.least_status
        self._log_write_runs = False
        self._starts: dict[tuple[int, str], bytes] = {}
        """Status line and constant header fields by status and content type, with the date of this second."""
        self._batcher = PredictionBatcher(self._service, loop.call_soon, self._send)
        self.connections = ConnectionTable(loop, worker.metrics.shed)

    def connect(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self.connections, self)

    def tick(self) -> None:
        """Advance clocks, time out connections, write the access log. Call it once a second."""
        self._starts.clear()
        self._write_access_log()
        self.connections.tick()

    def end(self) -> None:
        """Stop the threads and write the rest of the access log."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._access_log.write(*self._access_log.take())

    async def reload(self) -> None:
        """Load the models directory again and serve its models; the current ones serve until then."""
        new = await self._loop.run_in_executor(self._threads, self._worker.reload.load)
        # No job holds the current models after this.
        self._batcher.flush()
        current = self._service.bundle
        if self._worker.reload.activate(new):
            current.close()

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, now, with the batch of this turn, or from a thread."""
        head = request.head
        if self._direct and head.path == PREDICT and head.method == b"POST":
            refusal = None if self._access.unrestricted else self._access.refuse(head, request.peer)
            if refusal is None:
                self._predict(connection, request)
            else:
                answer = Answer(refusal.status, refusal.body, PROBLEM)
                self._send((connection, request), answer, encode(refusal.headers))
        else:
            self._loop.run_in_executor(self._threads, self._call_application, connection, request)

    def refusal(self, connection: Connection, head: Head | None, status: int) -> bytes:
        """Return status line and header fields of the response to a request that is not valid HTTP."""
        name = request_id(head)
        self._access_log.add(name, head, status, None, None, connection.peer)
        return self._head(status, PROBLEM, head, name)

    def _predict(self, connection: Connection, request: Request) -> None:
        headers = request.head.headers
        try:
            if headers.get(b"content-type") != _JSON:
                require_json(request.header("Content-Type") or "")
            hints = NO_HINTS if _HINT_HEADERS.isdisjoint(headers) else routing_hints(request.header)
        except InvalidRequestError as error:
            self._send((connection, request), self._service.refuse(error))
        else:
            self._batcher.submit((connection, request), request.body, hints)

    def _send(self, client: tuple[Connection, Request], answer: Answer, more: bytes = b"") -> None:
        """Send an answer and log it. more: header fields beside those of every response."""
        connection, request = client
        status, body, content_type, version = answer
        name = request_id(request.head)
        connection.answer(request, self._head(status, content_type, request.head, name) + more, body)
        if status >= self._least_logged:
            self._log(name, request, status, version)

    def _head(self, status: int, content_type: str, head: Head | None, name: bytes) -> bytes:
        start = self._starts.get((status, content_type))
        if start is None:
            start = self._starts[status, content_type] = _start(status, content_type) + _SECURITY
        cors = self._access.cors(head)
        return b"%bx-request-id: %b\r\n%b" % (start, name, encode(cors) if cors else b"")

    def _call_application(self, connection: Connection, request: Request) -> None:
        try:
            response = wsgi.call(self._worker.app, request, self._port)
        except Exception:
            log.exception("unhandled error")
            self._loop.call_soon_threadsafe(self._send, (connection, request), internal_error())
        else:
            self._loop.call_soon_threadsafe(self._relay, connection, request, *response)

    def _relay(
        self, connection: Connection, request: Request, status: int, headers: wsgi.Headers, body: bytes
    ) -> None:
        """Send the application's response, which has the header fields of every response already."""
        given = {name.lower(): value for name, value in headers}
        start = _start(status, given.get("content-type", "text/plain"))
        others = tuple(item for item in given.items() if item[0] not in _OWN)
        length = given.get("content-length") if request.head.method == b"HEAD" else None
        connection.answer(request, start + encode(others), body, int(length) if length else None)
        self._log(given[REQUEST_ID].encode(), request, status)

    def _log(self, name: bytes, request: Request, status: int, version: str | None = None) -> None:
        if self._access_log.add(name, request.head, status, request.began, version, request.peer):
            self._write_access_log()

    def _write_access_log(self) -> None:
        if self._log_write_runs:
            return
        lines, dropped = self._access_log.take()
        if not lines:
            return
        self._log_write_runs = True
        writing = self._loop.run_in_executor(self._threads, self._access_log.write, lines, dropped)
        writing.add_done_callback(self._log_written)

    def _log_written(self, _future: object) -> None:
        self._log_write_runs = False


def _start(status: int, content_type: str) -> bytes:
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {content_type}\r\n"
    return f"{line}date: {formatdate(usegmt=True)}\r\n".encode()
