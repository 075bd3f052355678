"""Row F9: the host's disk is full, before the upload, in the middle of it, and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from provisioning.host_errors import DiskFull, UploadFailed
from tests.e2e.faults.figures import dice, figure
from tests.e2e.faults.small import At, Small
from tests.link import Link

if TYPE_CHECKING:
    from tests.e2e.faults.real_host import RealHost

pytestmark = pytest.mark.e2e

MIB = 1 << 20
DISK = 24 * MIB
BLOB = 4 * MIB


@pytest.fixture
def narrow(small_project: Callable[[str], Small], host: RealHost) -> Iterator[Small]:
    """A small project whose root is a file system of its own, of 24 MiB."""
    small = small_project("narrow")
    user = host.target.user
    host.sh(
        f"mount -t tmpfs -o size={DISK},uid=$(id -u {user}),gid=$(id -g {user}),mode=755 disk {small.root}"
    )
    yield small
    host.sh(f"docker ps -aq --filter label=com.docker.compose.project={small.name} | xargs -r docker rm -f")
    host.inside("umount", small.root)


def fill(small: Small) -> None:
    """Leave no room at all."""
    small.host.sh(f"dd if=/dev/zero of={small.root}/ballast bs=64k 2>/dev/null || true")
    assert small.host.sh(f"df --output=avail {small.root} | tail -1").strip() == "0"


def empty(small: Small) -> None:
    small.host.inside("rm", "-f", f"{small.root}/ballast")


def test_f9_a_full_disk_leaves_the_old_release_and_the_next_push_goes_through(
    narrow: Small, host: RealHost
) -> None:
    draw = dice("F9")
    old = narrow.push().release
    ids = narrow.ids()

    def as_before() -> bool:
        return narrow.current() == old and narrow.ids() == ids and host.healthy(narrow.name)

    narrow.write("blobs/big", draw.randbytes(DISK))
    with pytest.raises(DiskFull) as refused:
        narrow.push()
    assert "are free" in str(refused.value)
    assert refused.value.hint
    assert as_before()
    assert narrow.parts() == []

    narrow.write("blobs/big", draw.randbytes(BLOB))
    with Link(host.address, 22) as link:
        half = At("upload", lambda: link.at(BLOB // 2, lambda: fill(narrow)))
        with pytest.raises(UploadFailed, match="the disk of the host is full"):
            narrow.push(half, narrow.through(link.port))
    assert as_before()
    empty(narrow)

    with pytest.raises(UploadFailed, match="the disk of the host is full"):
        narrow.push(At("publish", lambda: fill(narrow)))
    assert as_before()
    assert narrow.status().release == old
    empty(narrow)

    new = narrow.push().release
    assert narrow.current() == new != old
    assert narrow.parts() == []
    assert narrow.status().drift == ()
    figure(
        "F9",
        "disk full: refused before the upload with both sizes, ended in the middle of it and after it; old release "
        "untouched 3 of 3, next push done once there is room",
    )
