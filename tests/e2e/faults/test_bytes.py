"""What travels when one small file of a large release has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults.figures import dice, figure
from tests.link import Link

if TYPE_CHECKING:
    from tests.e2e.faults.real_host import RealHost
    from tests.e2e.faults.small import Small

pytestmark = pytest.mark.e2e

LIMIT = 64 * 1024


def test_of_a_release_of_200_files_and_5_mb_of_models_one_changed_file_travels_alone(
    small_project: Callable[[str], Small], host: RealHost
) -> None:
    small = small_project("bytes")
    draw = dice("bytes")
    for number in range(200):
        small.write(f"second/files/{number}.txt", draw.randbytes(1024).hex())
    small.write("blobs/big", draw.randbytes(5_000_000))
    small.push()
    small.write("second/files/7.txt", draw.randbytes(1024).hex())
    with Link(host.address, 22) as link:
        result = small.push(target=small.through(link.port))
        whole, back = link.sent, link.received
    assert result.uploaded_files <= 2, "the file, and the release's own env file"
    assert result.uploaded_bytes <= LIMIT
    assert whole <= LIMIT
    with Link(host.address, 22) as link:
        assert not small.push(target=small.through(link.port)).changed
        nothing = link.sent
    figure(
        "sent",
        f"one changed file of 2 KB among 200 files and 5 MB: {result.uploaded_bytes} bytes of content, "
        f"{whole / 1024:.0f} KiB on the line with every question and script ({back / 1024:.0f} KiB back); nothing "
        f"changed: 0 bytes of content, {nothing / 1024:.0f} KiB on the line",
    )
