"""`python -m ui.healthcheck`: exit 0 when Streamlit on this machine says it is healthy. Made for compose."""

from __future__ import annotations

import sys
import urllib.request

# /health and /healthz answer 200 with the page's shell whatever happens; only this path tells.
URL = "http://127.0.0.1:8501/_stcore/health"


def main() -> int:
    """0 when the server answers `ok` within three seconds, else 1."""
    try:
        with urllib.request.urlopen(URL, timeout=3) as answer:
            return 0 if answer.read() == b"ok" else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
