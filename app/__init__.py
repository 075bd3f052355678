"""The prediction API: two models behind one endpoint, split by weight.

Importing this package loads nothing: Flask, numpy and onnxruntime come in with `create_app`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from prometheus_client import CollectorRegistry

    from app.settings import ApiSettings

__all__ = ["create_app"]


def create_app(
    settings: ApiSettings,
    *,
    registry: CollectorRegistry | None = None,
    draw: Callable[[], float] | None = None,
) -> Flask:
    """The WSGI application for these settings, with both models loaded or refused by name.

    registry: collectors that GET /metrics shows beside the service's own.
    draw: gives a number in [0, 1) for every request; random if not given.
    """
    from app.api.factory import build

    return build(settings, registry=registry, draw=draw)
