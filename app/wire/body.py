"""Read the JSON body of a request from a WSGI environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import InvalidRequestError

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

JSON = "application/json"
MAX_BODY = 64 * 1024


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the body of a JSON request, MAX_BODY bytes at most; raise InvalidRequestError (400, 413, 415).

    A body without Content-Length is read to its end where the server marks the end (`wsgi.input_terminated`).
    Werkzeug's own limit is not used: it truncates such a body without an error.
    """
    require_json(environ.get("CONTENT_TYPE") or "")
    length = _length(environ)
    if length is None:
        if not environ.get("wsgi.input_terminated"):
            return b""
        body = _read(environ, MAX_BODY + 1)
    elif length > MAX_BODY:
        raise _too_large()
    else:
        body = _read(environ, length)
        if len(body) < length:
            raise InvalidRequestError(400, "truncated", f"the body ends after {len(body)} of {length} bytes")
    if len(body) > MAX_BODY:
        raise _too_large()
    return body


def require_json(kind: str) -> None:
    """Raise InvalidRequestError (415) unless this Content-Type is JSON's, with or without parameters."""
    if kind != JSON and kind.partition(";")[0].strip().lower() != JSON:
        raise InvalidRequestError(415, "content_type", f"send the body with Content-Type: {JSON}")


def _length(environ: WSGIEnvironment) -> int | None:
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequestError(400, "truncated", "Content-Length is not a number")
    # Ten digits are over every limit; converting thousands of them is wasted work.
    return int(text) if len(text) < 10 else MAX_BODY + 1


def _read(environ: WSGIEnvironment, limit: int) -> bytes:
    stream = environ["wsgi.input"]
    body: bytes = stream.read(limit)
    while len(body) < limit:
        more = stream.read(limit - len(body))
        if not more:
            break
        body += more
    return body


def _too_large() -> InvalidRequestError:
    return InvalidRequestError(413, "too_large", f"the body must not be over {MAX_BODY} bytes")
