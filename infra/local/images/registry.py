"""A read-only image registry for the Docker engines inside instances: this machine's copy of the base image.

It speaks the pull half of the OCI distribution protocol, so an engine with this address among its
`registry-mirrors` builds `FROM debian:trixie-slim` without reaching any other registry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import socket
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from infra.local.errors import ImageUnavailableError
from infra.local.images.host_image import BASE_IMAGE, image_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.docker import DockerCommand
    from infra.local.settings import CloudSettings

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ROUTE: Final = re.compile(
    r"/v2/(?P<name>[a-z0-9/._-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9:._-]+)"
)
_TLS_HANDSHAKE: Final = b"\x16"
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class ServedImage:
    """An image ready to be pulled as `name:tag`: its manifest, and the directory with its blobs by hex digest."""

    name: str
    tag: str
    manifest: bytes
    blobs: Path

    @property
    def digest(self) -> str:
        """Return the manifest's digest."""
        return "sha256:" + hashlib.sha256(self.manifest).hexdigest()


def hub_name(image: str) -> tuple[str, str]:
    """Return (name, tag) under which Docker Hub serves an image: official ones are in `library/`."""
    name, _, tag = image.partition(":")
    return (name if "/" in name else f"library/{name}", tag or "latest")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Return the content of a member, following links inside of the archive; nothing is written to the disk."""
    content = archive.extractfile(name)
    if content is None:
        raise ImageUnavailableError(f"the export has no file {name}")
    return content


def _keep(content: IO[bytes], blobs: Path) -> tuple[str, int]:
    """Put content into a directory under its digest; return digest and size."""
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=blobs.parent, delete=False) as out:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += out.write(chunk)
    Path(out.name).replace(blobs / digest.hexdigest())
    return digest.hexdigest(), size


def unpack_export(export: Path, blobs: Path) -> bytes:
    """Put config and layers of a `docker save` archive into `blobs`, named by digest; return the manifest."""
    with tarfile.open(export) as archive:
        content = json.loads(_member(archive, "manifest.json").read())[0]

        def descriptor(member: str, media_type: str) -> dict[str, Any]:
            digest, size = _keep(_member(archive, member), blobs)
            return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}

        def layer_type(member: str) -> str:
            packed = _member(archive, member).read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            return f"{LAYER_TYPE}+gzip" if packed else LAYER_TYPE

        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(content["Config"], CONFIG_TYPE),
            "layers": [descriptor(layer, layer_type(layer)) for layer in content["Layers"]],
        }
    return json.dumps(manifest, sort_keys=True).encode()


def exported(docker: DockerCommand, image: str, cache_dir: Path) -> ServedImage:
    """Return this machine's image, exported once per image id into the cache. Raises ImageUnavailableError."""
    identity = image_id(docker, image)
    if identity is None:
        raise ImageUnavailableError(
            f"{image} is not on this machine.", "Make it: python -m infra.local prepare"
        )
    name, tag = hub_name(image)
    home = cache_dir / "images" / identity.removeprefix("sha256:")[:16]
    if not (home / "manifest.json").exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        # Made aside and renamed: a cache entry is whole or not there.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".part-") as scratch:
            part = Path(scratch) / "image"
            (part / "blobs").mkdir(parents=True)
            docker.save(image, Path(scratch) / "export.tar")
            manifest = unpack_export(Path(scratch) / "export.tar", part / "blobs")
            (part / "manifest.json").write_bytes(manifest)
            shutil.rmtree(home, ignore_errors=True)
            part.rename(home)
    return ServedImage(name, tag, (home / "manifest.json").read_bytes(), home / "blobs")


class PullHandler(BaseHTTPRequestHandler):
    """Serves one image, and nothing else; see `handler_for`."""

    protocol_version = "HTTP/1.1"
    # BuildKit tries TLS first and falls back to HTTP when the answer begins with "HTTP/": a request that cannot be
    # read must get a status line too.
    default_request_version = "HTTP/1.1"
    image: ServedImage

    def handle(self) -> None:
        """Serve one connection. BuildKit tries TLS first and falls back to HTTP only when the response is HTTP."""
        with contextlib.suppress(ConnectionError):
            if self.connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                self.wfile.write(
                    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )
                # Closing with unread input would reset the connection before the answer arrives.
                self.connection.recv(_CHUNK)
                return
            super().handle()

    def do_GET(self) -> None:
        """Answer with content."""
        self._serve(body=True)

    def do_HEAD(self) -> None:
        """Answer with headers only."""
        self._serve(body=False)

    def _serve(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        route = _ROUTE.fullmatch(path)
        if path.rstrip("/") == "/v2":
            self._send(b"{}", "application/json", body=body)
        elif route is None or route["name"] != self.image.name:
            self._refuse("NAME_UNKNOWN", body=body)
        elif route["kind"] == "blobs":
            self._blob(route["reference"], body=body)
        elif route["reference"] in (self.image.tag, self.image.digest):
            self._send(self.image.manifest, MANIFEST_TYPE, digest=self.image.digest, body=body)
        else:
            self._refuse("MANIFEST_UNKNOWN", body=body)

    def _blob(self, digest: str, *, body: bool) -> None:
        blob = self.image.blobs / digest.removeprefix("sha256:")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or not blob.is_file():
            self._refuse("BLOB_UNKNOWN", body=body)
            return
        self._head(HTTPStatus.OK, blob.stat().st_size, "application/octet-stream", digest)
        if body:
            with blob.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, _CHUNK)

    def _refuse(self, code: str, *, body: bool) -> None:
        message = f"only {self.image.name}:{self.image.tag} is here"
        content = json.dumps({"errors": [{"code": code, "message": message}]})
        self._send(content.encode(), "application/json", status=HTTPStatus.NOT_FOUND, body=body)

    def _send(
        self, content: bytes, kind: str, *, body: bool, digest: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._head(status, len(content), kind, digest)
        if body:
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, size: int, kind: str, digest: str) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing: pulls are frequent and of no interest."""


def handler_for(image: ServedImage) -> type[PullHandler]:
    """Return a request handler that serves exactly this image, for pulls only."""
    return type("ImageHandler", (PullHandler,), {"image": image})


def serve_registry(
    settings: CloudSettings, docker: DockerCommand, log: Callable[[str], None]
) -> ThreadingHTTPServer:
    """Serve the base image on the cloud's network, in a thread of this process."""
    image = exported(docker, BASE_IMAGE, settings.cache_dir)
    server = ThreadingHTTPServer((str(settings.gateway), settings.registry_port), handler_for(image))
    threading.Thread(target=server.serve_forever, daemon=True, name="registry").start()
    log(f"{BASE_IMAGE} ({image.digest[:19]}) is served at {settings.registry_url}")
    return server
