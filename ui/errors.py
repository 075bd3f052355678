"""What can go wrong in the UI.

UiError
├── SettingsError       an environment variable has no usable value
└── ApiError            the API gave no usable answer
    ├── ApiUnavailable  no answer in time, or it said that it cannot serve now (5xx)
    ├── ApiRefused      it will not take this request (4xx)
    └── ApiUnreadable   it answered something that this UI does not understand
"""

from __future__ import annotations


class UiError(Exception):
    """Root of the tree: one sentence for people, and `hint`, the sentence that says what to do next."""

    hint = ""


class SettingsError(UiError):
    """An environment variable is set to something that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.hint = f"Set {name} in the environment of the UI and start it again."
        super().__init__(message)


class ApiError(UiError):
    """The API gave no usable answer; `url` is what was asked."""

    def __init__(self, message: str, *, url: str) -> None:
        self.url = url
        super().__init__(message)


class ApiUnavailable(ApiError):
    """There was no answer (`status` is None), or one that says it cannot serve now."""

    hint = "Look at `docker compose ps` and `docker compose logs flask-api`, then try again."

    def __init__(self, message: str, *, url: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message, url=url)


class ApiRefused(ApiError):
    """The API will not take this request. `detail` is its own reason, `field` the input it names, if any."""

    hint = "Change the input and try again."

    def __init__(self, detail: str, *, url: str, status: int, field: str | None = None) -> None:
        self.status = status
        self.detail = detail
        self.field = field
        super().__init__(f"The prediction API refused the request: {detail}", url=url)


class ApiUnreadable(ApiError):
    """The answer is not what this UI expects."""

    hint = "Check that API_URL points to the prediction API, and that API and UI are of one release."
