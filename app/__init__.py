"""The prediction API: two models behind one endpoint, with traffic split by weight.

Importing this package loads nothing else: `create_app` imports Flask, numpy and onnxruntime.
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
    """Return the WSGI application for these settings, access control included, with the models loaded.

    Any WSGI server can run it. Processes that share a state directory should be forked from one: the rate limit needs
    it. A model that cannot be used is unavailable; see GET /ready.
    registry: further collectors for GET /metrics.
    draw: returns a number in [0, 1) for every request without a user; None: random.
    """
    from app.api.factory import build

    return build(settings, registry=registry, draw=draw)
