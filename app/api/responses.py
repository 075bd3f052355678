"""JSON and problem documents as Flask responses."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from flask import Response

from app.wire.body import JSON
from app.wire.problems import CONTENT_TYPE as PROBLEM
from app.wire.problems import problem


def json_response(content: object, status: int = HTTPStatus.OK) -> Response:
    """Return a response whose body is the content as JSON."""
    return Response(msgspec.json.encode(content), status, content_type=JSON)


def problem_response(status: int, detail: str, field: str | None = None) -> Response:
    """Return an error response; field: the field of the request that is wrong, where one is."""
    return Response(problem(status, detail, field), status, content_type=PROBLEM)
