"""A whole request -> a WSGI application's whole answer."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import WSGIApplication

    from app.http.messages import Request

Headers = list[tuple[str, str]]


def call(app: WSGIApplication, request: Request, port: int) -> tuple[int, Headers, bytes]:
    """Status, headers and body of the application's answer; raises what the application raises."""
    status = 500
    headers: Headers = []

    def start_response(line: str, given: Headers, _error: Any = None) -> Any:
        nonlocal status, headers
        status, headers = int(line[:3]), given

    result: Iterable[bytes] = app(environ(request, port), start_response)
    try:
        body = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close:
            close()
    return status, headers, body


def environ(request: Request, port: int) -> dict[str, Any]:
    """The request as PEP 3333 has it. The body is there whole, so its length is known."""
    path, _, query = request.head.target.partition(b"?")
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
    found: dict[str, Any] = {
        "REQUEST_METHOD": request.head.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
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
    for name, value in request.head.headers.items():
        # "x_user_id" would look like "x-user-id" from here on.
        if b"_" not in name:
            found["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
    found.pop("HTTP_CONTENT_TYPE", None)
    found.pop("HTTP_CONTENT_LENGTH", None)
    found["CONTENT_TYPE"] = request.header("Content-Type") or ""
    found["CONTENT_LENGTH"] = str(len(request.body))
    return found
