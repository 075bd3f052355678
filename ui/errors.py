"""The UI's errors.

UiError
├── SettingsError       an environment variable has no usable value
└── ApiError            the API gave no usable response
    ├── ApiUnavailable  no response in time, or a server error (5xx)
    ├── ApiRefused      the request was rejected (4xx)
    └── ApiUnreadable   the response is not what this UI expects
"""

from __future__ import annotations


class UiError(Exception):
    """Root of the tree: a message of one sentence, and `hint`, a sentence with the next step."""

    hint = ""


class SettingsError(UiError):
    """An environment variable has a value that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.hint = f"Set {name} in the environment of the UI and start it again."
        super().__init__(message)


class ApiError(UiError):
    """The API gave no usable response to the request for `url`."""

    def __init__(self, message: str, *, url: str) -> None:
        self.url = url
        super().__init__(message)


class ApiUnavailable(ApiError):
    """There was no response (`status` is None), or a server error."""

    hint = "Look at `docker compose ps` and `docker compose logs flask-api`, then try again."

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
