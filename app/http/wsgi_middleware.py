"""Access control, security headers and request ids as WSGI middleware, for any WSGI server."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from app.http.messages import Head
from app.http.response_headers import POLICY, REQUEST_ID, SECURITY_HEADERS, request_id
from app.wire.problems import CONTENT_TYPE as PROBLEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from app.http.access_control import AccessControl
    from app.http.response_headers import Headers

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class AccessMiddleware:
    """Answers requests without access and CORS preflights; passes all others to the application."""

    def __init__(self, app: WSGIApplication, access: AccessControl) -> None:
        self._app = app
        self._access = access

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request as PEP 3333 defines."""
        head = head_of(environ)
        common: Headers = (
            *SECURITY_HEADERS,
            (REQUEST_ID, request_id(head).decode()),
            *self._access.cors(head),
        )
        refusal = self._access.refuse(head, environ.get("REMOTE_ADDR") or "")
        if refusal is not None:
            headers = (("content-type", PROBLEM), *common, *refusal.headers)
            return _respond(start_response, head, refusal.status, headers, refusal.body)
        preflight = self._access.preflight(head)
        if preflight is not None:
            return _respond(
                start_response,
                head,
                HTTPStatus.OK,
                (("content-type", "text/plain"), *common, *preflight),
                b"",
            )

        def start(
            status: str, headers: list[tuple[str, str]], error: ExcInfo | None = None
        ) -> Callable[[bytes], object]:
            has_policy = any(name.lower() == POLICY for name, _ in headers)
            added = [item for item in common if not (has_policy and item[0] == POLICY)]
            return start_response(status, added + headers, error)

        return self._app(environ, start)


def head_of(environ: WSGIEnvironment) -> Head:
    """Return the head of the request that a WSGI environment describes."""
    head = Head()
    head.method = str(environ["REQUEST_METHOD"]).encode("latin-1")
    head.path = str(environ.get("PATH_INFO", "")).encode("latin-1")
    head.headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"): str(value).encode("latin-1")
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return head


def _respond(
    start_response: StartResponse, head: Head, status: HTTPStatus, headers: Headers, body: bytes
) -> list[bytes]:
    start_response(f"{status.value} {status.phrase}", [*headers, ("content-length", str(len(body)))])
    return [b"" if head.method == b"HEAD" else body]
