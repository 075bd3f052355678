"""HTTP client of the prediction API; the UI's only network code."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3

from ui.api.answers import Config, Prediction, Problem
from ui.api.fields import AnswerError, mapping, text
from ui.api.reports import Drift, ExperimentReport, Logged
from ui.api.usage import Usage
from ui.errors import ApiRefused, ApiUnavailable, ApiUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ui.settings import UiSettings

MAX_ANSWER_BYTES = 2_000_000
CHUNK_BYTES = 16_384
Value = TypeVar("Value")


class ApiClient:
    """Client of the API. Every method raises ApiUnavailable, ApiRefused or ApiUnreadable only.

    It keeps no connection, so one client serves all sessions of the UI.
    """

    def __init__(self, settings: UiSettings) -> None:
        self._settings = settings

    @property
    def url(self) -> str:
        """Return the configured address of the API."""
        return self._settings.api_url

    def config(self) -> Config:
        """Return models, split, features and drift settings."""
        return self._read("GET", "/config", None, lambda body: Config.from_json(_json(body)))

    def predict(self, features: Mapping[str, float], *, synthetic: bool) -> Prediction:
        """Return the prediction for one row, given by feature name.

        synthetic: a trial; drift and experiment exclude the row.
        """
        row = {"features": dict(features)}
        headers = {"X-Synthetic": "1"} if synthetic else {}
        return self._read("POST", "/predict", row, lambda body: Prediction.from_json(_json(body)), headers)

    def feedback(self, prediction_id: str, label: str) -> str:
        """Send the true class of a predicted row. Return `new`, `same` or `changed`."""
        given = {"prediction_id": prediction_id, "label": label}
        return self._read(
            "POST", "/feedback", given, lambda body: text(mapping(_json(body), "answer"), "recorded")
        )

    def drift(self) -> Drift:
        """Return the comparison of recent rows with the training rows."""
        return self._read("GET", "/drift", None, lambda body: Drift.from_json(_json(body)))

    def experiment(self) -> ExperimentReport:
        """Return the comparison of v1 and v2."""
        return self._read("GET", "/experiment", None, lambda body: ExperimentReport.from_json(_json(body)))

    def predictions(self, limit: int) -> tuple[Logged, ...]:
        """Return the latest predictions of all users, newest first."""
        return self._read(
            "GET", f"/predictions?limit={limit}", None, lambda body: Logged.from_json(_json(body))
        )

    def usage(self) -> Usage:
        """Return totals, latencies and drift since the API started."""
        return self._read("GET", "/metrics", None, lambda body: Usage.from_metrics(body.decode()))

    def _read(
        self,
        method: str,
        path: str,
        row: object,
        parse: Callable[[bytes], Value],
        headers: Mapping[str, str] | None = None,
    ) -> Value:
        url = self.url + path
        body = self._ask(method, url, row, headers or {})
        try:
            return parse(body)
        except AnswerError as error:
            raise ApiUnreadable(f"The answer of {url} cannot be used: {error}.", url=url) from error
        # The metrics parser raises KeyError for missing labels, and numbers may be infinite.
        except (ValueError, KeyError, OverflowError, RecursionError) as error:
            raise ApiUnreadable(f"The answer of {url} cannot be read.", url=url) from error

    def _ask(self, method: str, url: str, row: object, headers: Mapping[str, str]) -> bytes:
        """Return the body of a 2xx response."""
        timeouts = (self._settings.connect_timeout, self._settings.answer_timeout)
        deadline = time.monotonic() + sum(timeouts)
        try:
            with requests.Session() as session:
                # A proxy of the environment cannot resolve the name `flask-api`.
                session.trust_env = False
                if self._settings.api_key:
                    session.headers["Authorization"] = f"Bearer {self._settings.api_key}"
                with session.request(
                    method,
                    url,
                    json=row,
                    headers=dict(headers),
                    timeout=timeouts,
                    stream=True,
                    allow_redirects=False,
                ) as answer:
                    body = _body(answer, url, deadline)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise ApiUnavailable(
                f"The prediction API at {self.url} did not answer in time.", url=url
            ) from error
        # Reads below requests raise urllib3's errors for a broken response.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnavailable(f"The prediction API at {self.url} cannot be reached.", url=url) from error
        if not answer.ok or answer.is_redirect:
            raise _refusal(answer.status_code, body, url)
        return body


def _body(answer: requests.Response, url: str, deadline: float) -> bytes:
    """Return the whole body. Raise when it exceeds the size limit or the timeout."""
    parts: list[bytes] = []
    size = 0
    # iter_content would wait for a full chunk, with a separate timeout for each byte.
    while part := answer.raw.read1(CHUNK_BYTES, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ApiUnreadable(f"The answer of {url} is larger than {MAX_ANSWER_BYTES:,} bytes.", url=url)
        if time.monotonic() > deadline:
            raise requests.Timeout
    return b"".join(parts)


def _refusal(status: int, body: bytes, url: str) -> ApiUnavailable | ApiRefused | ApiUnreadable:
    try:
        problem = Problem.from_json(_json(body))
    except (ValueError, RecursionError):
        problem = None
    detail = problem.detail if problem else f"HTTP status {status} without a reason"
    if status >= requests.codes.internal_server_error:
        return ApiUnavailable(f"The prediction API cannot serve now: {detail}", url=url, status=status)
    if status >= requests.codes.bad_request:
        return ApiRefused(detail, url=url, status=status, field=problem.field if problem else None)
    return ApiUnreadable(f"{url} answered with HTTP status {status}.", url=url)


def _json(body: bytes) -> Any:
    return json.loads(body)
