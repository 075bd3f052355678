"""Errors of the UI.

UiError
├── SettingsError       an environment variable has an invalid value
└── ApiError            the API returned no usable response
    ├── ApiUnavailable  no response in time, or an error of the API (5xx)
    ├── ApiRefused      the API rejected the request (4xx)
    └── ApiUnreadable   the response is not what this UI expects
"""

from __future__ import annotations


class UiError(Exception):
    """Base of all errors of the UI: one sentence, and `hint`, what to do next."""

    hint = ""


class SettingsError(UiError):
    """An environment variable has an invalid value."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.hint = f"Set {name} in the environment of the UI and start it again."
        super().__init__(message)


class ApiError(UiError):
    """The API returned no usable response; `url` was requested."""

    def __init__(self, message: str, *, url: str) -> None:
        self.url = url
        super().__init__(message)


class ApiUnavailable(ApiError):
    """No response (`status` is None), or one that reports the API as unavailable."""

    hint = "Run `docker compose ps` and `docker compose logs flask-api`, then try again."

    def __init__(self, message: str, *, url: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message, url=url)


class ApiRefused(ApiError):
    """The API rejected the request. `detail` is its reason, `field` the input that it names, if any."""

    hint = "Change the input and try again."

    def __init__(self, detail: str, *, url: str, status: int, field: str | None = None) -> None:
        self.status = status
        self.detail = detail
        self.field = field
        super().__init__(f"The prediction API refused the request: {detail}", url=url)


class ApiUnreadable(ApiError):
    """The response is not what this UI expects."""

    hint = "Check that API_URL points to the prediction API, and that API and UI are of one release."
