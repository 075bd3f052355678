"""The two images an instance needs: Debian's base image, and the host image that is built on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.local.errors import DockerFailedError, ImageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.local.docker import DockerCommand

BASE_IMAGE: Final = "debian:trixie-slim"
HOST_CONTEXT: Final = Path(__file__).with_name("host")
_PULL_SECONDS: Final = 300.0
# What Debian's slim images leave out, now and for every package installed later.
_SLIM: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_SOURCES: Final = """Types: deb
URIs: {mirror}
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {mirror}-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
# The official image sets it too: a layer whose build is cut is thrown away, so nothing has to reach the disk early.
_DPKG: Final = "force-unsafe-io\n"


def host_image_tag(context: Path = HOST_CONTEXT) -> str:
    """Return the name of the host image; it changes with any byte, name or mode of its build context."""
    digest = hashlib.sha256()
    for path in sorted(context.rglob("*")):
        if path.is_file():
            executable = bool(path.stat().st_mode & 0o100)
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(context)} {executable} {content}\n".encode())
    return f"onebox/host:{digest.hexdigest()[:12]}"


def image_id(docker: DockerCommand, image: str) -> str | None:
    """Return the image's id; None when this machine does not have it."""
    try:
        return docker.run(["image", "inspect", "--format", "{{.Id}}", image]).strip()
    except DockerFailedError:
        return None


def prepare(docker: DockerCommand, progress: Callable[[str], None]) -> str:
    """Fetch or build both images; return the host image's name. Raises ImageUnavailableError."""
    if image_id(docker, BASE_IMAGE) is None:
        _fetch_base(docker, progress)
    tag = host_image_tag()
    if image_id(docker, tag) is None:
        with _announced(progress, f"building {tag} (about a minute, once)"):
            _build_host(docker, tag)
    return tag


@contextmanager
def _announced(progress: Callable[[str], None], what: str) -> Iterator[None]:
    progress(f"{what} ...")
    started = time.monotonic()
    yield
    progress(f"{what}: done in {time.monotonic() - started:.0f} s")


def _build_host(docker: DockerCommand, tag: str) -> None:
    # docker build tags only a build that has succeeded.
    try:
        docker.run(["build", "--tag", tag, str(HOST_CONTEXT)], timeout=1200)
    except DockerFailedError as error:
        raise ImageUnavailableError(
            f"The host image could not be built: {error.detail}",
            f"See all of it: docker build {HOST_CONTEXT}",
        ) from error


def _fetch_base(docker: DockerCommand, progress: Callable[[str], None]) -> None:
    try:
        with _announced(progress, f"pulling {BASE_IMAGE} (some seconds, once)"):
            docker.run(["pull", "--quiet", BASE_IMAGE], timeout=_PULL_SECONDS)
    except DockerFailedError as error:
        progress(
            f"{BASE_IMAGE} cannot be pulled ({error.detail.splitlines()[-1] if error.detail else 'no reason'})"
        )
    else:
        return
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise ImageUnavailableError(
            f"{BASE_IMAGE} can neither be pulled nor built: building it needs root and debootstrap.",
            "Give this machine access to an image registry, or run as root after: apt-get install debootstrap",
        )
    with _announced(progress, f"building {BASE_IMAGE} with debootstrap (about a minute, once)"):
        _bootstrap_base(docker)


def _bootstrap_base(docker: DockerCommand) -> None:
    with tempfile.TemporaryDirectory(prefix="onebox-base-") as scratch:
        root = Path(scratch) / "root"
        command = [
            "debootstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            "trixie",
            str(root),
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
        if made.returncode != 0:
            last = (made.stdout + made.stderr).strip().splitlines()[-1:]
            raise ImageUnavailableError(
                f"debootstrap failed: {' '.join(last)}", f"Run it by hand: {' '.join(command)}"
            )
        # debootstrap knows this machine's mirror and notes it: "deb URL trixie main".
        noted = root / "etc/apt/sources.list"
        mirror = noted.read_text().split()[1].rstrip("/")
        noted.unlink()
        (root / "etc/apt/sources.list.d/debian.sources").write_text(_SOURCES.format(mirror=mirror))
        (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text(_DPKG)
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text("".join(f"path-exclude {glob}\n" for glob in _SLIM))
        archive = Path(scratch) / "root.tar"
        left_out = (
            "./var/lib/apt/lists/*",
            "./var/cache/apt/*",
            "./var/log/*",
            *(f".{glob}" for glob in _SLIM),
        )
        pack = ["tar", "-C", str(root), *(f"--exclude={glob}" for glob in left_out), "-cf", str(archive), "."]
        subprocess.run(pack, check=True, capture_output=True)
        # docker import names the image only when all of it is in.
        docker.run(["import", "--change", 'CMD ["bash"]', str(archive), BASE_IMAGE], timeout=600)
