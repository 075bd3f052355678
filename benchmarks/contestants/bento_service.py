"""A BentoML service of two workers."""

from __future__ import annotations

from typing import Any

import bentoml
from forests import Forests


@bentoml.service(workers=2)
class Iris:
    """The two forests."""

    def __init__(self) -> None:
        self._forests = Forests()

    @bentoml.api
    async def predict(self, features: list[float]) -> dict[str, Any]:
        return self._forests.predict(features)
