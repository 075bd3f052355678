"""The registry mirror, pulled from as a Docker engine does."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import tarfile
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from infra.local.images.registry import (
    LAYER_TYPE,
    MANIFEST_TYPE,
    ServedImage,
    handler_for,
    hub_name,
    unpack_export,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

CONFIG = b'{"architecture": "amd64"}'
LAYER = b"plain tar bytes"
PACKED = b"\x1f\x8bpacked bytes"


def export(path: Path) -> Path:
    """A file as `docker save` writes it."""
    listing = [
        {"Config": "c.json", "RepoTags": ["debian:trixie-slim"], "Layers": ["1/layer.tar", "2/layer.tar"]}
    ]
    members = {
        "manifest.json": json.dumps(listing).encode(),
        "c.json": CONFIG,
        "1/layer.tar": LAYER,
        "2/layer.tar": PACKED,
    }
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def image(tmp_path: Path) -> ServedImage:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return ServedImage(
        "library/debian", "trixie-slim", unpack_export(export(tmp_path / "e.tar"), blobs), blobs
    )


@pytest.fixture
def registry(image: ServedImage) -> Iterator[tuple[str, int]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(image))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(registry: tuple[str, int], method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*registry, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_an_official_image_has_the_name_it_has_on_the_hub() -> None:
    assert hub_name("debian:trixie-slim") == ("library/debian", "trixie-slim")
    assert hub_name("some/thing") == ("some/thing", "latest")


def test_the_manifest_describes_config_and_layers_by_digest_and_size(image: ServedImage) -> None:
    manifest = json.loads(image.manifest)
    assert manifest["config"]["digest"] == digest(CONFIG)
    assert manifest["layers"] == [
        {"mediaType": LAYER_TYPE, "digest": digest(LAYER), "size": len(LAYER)},
        {"mediaType": f"{LAYER_TYPE}+gzip", "digest": digest(PACKED), "size": len(PACKED)},
    ]


def test_an_engine_can_ask_for_the_protocol(registry: tuple[str, int]) -> None:
    status, headers, _ = ask(registry, "GET", "/v2/")
    assert (status, headers["Docker-Distribution-Api-Version"]) == (200, "registry/2.0")


def test_the_manifest_is_served_by_tag_and_by_digest(registry: tuple[str, int], image: ServedImage) -> None:
    for reference in ("trixie-slim", image.digest):
        status, headers, content = ask(
            registry, "GET", f"/v2/library/debian/manifests/{reference}?ns=docker.io"
        )
        assert (status, content) == (200, image.manifest)
        assert (headers["Content-Type"], headers["Docker-Content-Digest"]) == (MANIFEST_TYPE, image.digest)


def test_head_tells_the_size_and_sends_nothing(registry: tuple[str, int], image: ServedImage) -> None:
    status, headers, content = ask(registry, "HEAD", "/v2/library/debian/manifests/trixie-slim")
    assert (status, headers["Content-Length"], content) == (200, str(len(image.manifest)), b"")


def test_blobs_are_served_as_they_are(registry: tuple[str, int]) -> None:
    for content in (CONFIG, LAYER, PACKED):
        assert ask(registry, "GET", f"/v2/library/debian/blobs/{digest(content)}")[2] == content


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/library/nginx/manifests/latest", "NAME_UNKNOWN"),
        ("/v2/library/debian/manifests/bookworm", "MANIFEST_UNKNOWN"),
        ("/v2/library/debian/blobs/sha256:" + "0" * 64, "BLOB_UNKNOWN"),
        ("/v2/library/debian/blobs/..", "BLOB_UNKNOWN"),
        ("/etc/passwd", "NAME_UNKNOWN"),
    ],
)
def test_everything_else_is_not_found(registry: tuple[str, int], path: str, code: str) -> None:
    status, _, content = ask(registry, "GET", path)
    assert (status, json.loads(content)["errors"][0]["code"]) == (404, code)


def test_a_tls_greeting_is_answered_in_plain_http_so_that_the_client_falls_back(
    registry: tuple[str, int],
) -> None:
    with socket.create_connection(registry, timeout=5) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert client.recv(64).startswith(b"HTTP/1.1 400")


def test_pushing_is_refused(registry: tuple[str, int]) -> None:
    assert ask(registry, "PUT", "/v2/library/debian/manifests/trixie-slim")[0] == 501
