"""What the images of the services do once for each lock, and not with every changed line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def required(service: str) -> set[str]:
    """The packages that a service names, as they are imported; urllib3 comes with requests."""
    lines = (ROOT / "images" / service / "requirements.in").read_text().splitlines()
    names = {re.split(r"[<>=~]", line)[0].strip() for line in lines if line and not line.startswith("#")}
    return {name.replace("-", "_") for name in names} - {"urllib3"}


@pytest.mark.parametrize("service", ["api", "ui"])
def test_the_packages_of_the_lock_are_compiled_in_the_layer_that_installs_them(service: str) -> None:
    text = (ROOT / "images" / service / "Dockerfile").read_text()
    installing = text[text.index("uv pip install") : text.index("COPY --chmod=0555")]

    (imported,) = re.findall(r'python -c "import ([^"]+)"', installing)

    assert {name.partition(".")[0] for name in imported.split(", ")} >= required(service)
