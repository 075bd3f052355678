"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from werkzeug.exceptions import HTTPException

from app.wire.schemas import Problem

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response

CONTENT_TYPE = "application/problem+json"
log = logging.getLogger("app")


def problem(status: int, detail: str, field: str | None = None) -> bytes:
    """Return the body of an error response. field: the field of the request that is wrong, where one is."""
    return msgspec.json.encode(
        Problem(
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            field=msgspec.UNSET if field is None else field,
        )
    )


def register(app: Flask) -> None:
    """Make the app answer every HTTP error, and every unhandled exception, with a problem document."""

    @app.errorhandler(HTTPException)
    def _http_error(error: HTTPException) -> Response:
        # The exception's own response has the header fields of its status, such as Allow.
        response: Response = error.get_response()
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if status < HTTPStatus.BAD_REQUEST:
            return response
        response.data = problem(status, error.description or HTTPStatus(status).phrase)
        response.content_type = CONTENT_TYPE
        return response

    @app.errorhandler(Exception)
    def _bug(error: Exception) -> tuple[bytes, int, dict[str, str]]:
        log.error("unhandled error", exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return problem(status, "the server failed on this request"), status, {"Content-Type": CONTENT_TYPE}
