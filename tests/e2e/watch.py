"""Somebody who keeps asking for predictions while something else happens."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watch:
    """Asks for a prediction some twenty times a second, and keeps when there was none."""

    def __init__(self, url: str) -> None:
        self.asked = 0
        self.lost: list[float] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.03):
            began = time.monotonic()
            self.asked += 1
            try:
                answer = requests.post(self._url, json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=1)
                right = answer.status_code == 200 and answer.json().get("class") == "setosa"
            except (requests.RequestException, ValueError):
                right = False
            if not right:
                self.lost.append(began)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(5)
