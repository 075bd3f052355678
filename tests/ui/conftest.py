from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.ui.fake_api import FakeApi, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


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
