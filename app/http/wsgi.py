"""Call a WSGI application with a complete request."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from app.http.messages import Request

Headers = list[tuple[str, str]]


def call(app: WSGIApplication, request: Request, port: int) -> tuple[int, Headers, bytes]:
    """Return status, header fields and body of the application's response; raise what the application raises."""
    status = 500
    headers: Headers = []

    def start_response(line: str, given: Headers, _error: object = None) -> Callable[[bytes], object]:
        nonlocal status, headers
        status, headers = int(line[:3]), given
        return _no_write

    result: Iterable[bytes] = app(environ(request, port), start_response)
    try:
        body = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close:
            close()
    return status, headers, body


def environ(request: Request, port: int) -> WSGIEnvironment:
    """Return the request as PEP 3333 defines. The body is complete, so its length is known."""
    head = request.head
    found: WSGIEnvironment = {
        "REQUEST_METHOD": head.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path.decode("latin-1"),
        "QUERY_STRING": head.query.decode("latin-1"),
        "SERVER_NAME": "flask-api",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in head.headers.items():
        # In WSGI "x_user_id" could not be told from "x-user-id".
        if b"_" not in name:
            found["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
    found.pop("HTTP_CONTENT_TYPE", None)
    found.pop("HTTP_CONTENT_LENGTH", None)
    found["CONTENT_TYPE"] = request.header("Content-Type") or ""
    found["CONTENT_LENGTH"] = str(len(request.body))
    return found


def _no_write(_data: bytes) -> object:
    raise NotImplementedError("the write callable of WSGI is not supported; return the body")
