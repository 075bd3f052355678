from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.ui.fake_api import FakeApi, serving
from tests.ui.pages import open_app, switch
from ui.session import api_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlit.testing.v1 import AppTest


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serving() as fake:
        yield fake


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that refuses: bound, so that nobody else takes it, but never listening."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture
def open_page(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], AppTest]]:
    """Opens the app on a page, against the fake API."""
    monkeypatch.setenv("API_URL", api.url)
    api_client.cache_clear()

    def opened(page: str) -> AppTest:
        return switch(open_app(), page)

    yield opened
    api_client.cache_clear()
