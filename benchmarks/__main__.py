"""`python -m benchmarks [NAME ...]`: run the measurements, the short ones when none is named."""

from __future__ import annotations

import sys

from benchmarks import access_log, published, scoring, serve
from benchmarks.push import race

MEASUREMENTS = {
    "scoring": scoring.main,
    "serve": serve.main,
    "access_log": access_log.main,
    "published": published.main,
    "push": race.main,
}
ASKED_FOR = {"serve", "access_log", "published", "push"}
"""Those that take minutes and run only when they are named."""


def main() -> int:
    """Run what was asked for; 2 for a name that there is none of."""
    names = sys.argv[1:] or [name for name in MEASUREMENTS if name not in ASKED_FOR]
    for name in names:
        if name not in MEASUREMENTS:
            print(f"there is no measurement {name}; there are: {', '.join(MEASUREMENTS)}", file=sys.stderr)
            return 2
    for name in names:
        print(f"{name}: {MEASUREMENTS[name].__doc__}")
        MEASUREMENTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
