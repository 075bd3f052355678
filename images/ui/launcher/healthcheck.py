"""`python -m images.ui.launcher.healthcheck`: exit 0 when the UI on this machine serves pages that work."""

from __future__ import annotations

import http.client
import sys

PORT = 8501
# /health and /healthz return 200 with the page's shell in any case; only these report errors.
PATHS = ("/_stcore/health", "/code")


def main() -> int:
    """Return 0 when both respond with 200, each within three seconds, else 1."""
    return 0 if all(map(_is_healthy, PATHS)) else 1


def _is_healthy(path: str) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", PORT, timeout=3)
    try:
        client.request("GET", path)
        return client.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
