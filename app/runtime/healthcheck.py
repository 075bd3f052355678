"""Health check of the container: `python -m app.runtime.healthcheck` exits with 0 while GET /ready answers 200."""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT = 4.0


def main() -> int:
    """Print the response of GET /ready for the engine's health log. Imports little: it runs every few seconds."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("API_PORT", "5000")), timeout=TIMEOUT
    )
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        print(response.status, response.read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    return 0 if response.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
