"""Requests about the host's own SSH key. They run as root; `root` is the directory that contains /etc."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.agent.protocol import Request


@dataclass(frozen=True)
class PublicKey:
    """The public half of a key as `type base64`."""

    text: str


@dataclass(frozen=True)
class CreateHostKey(Request[PublicKey]):
    """Create the host's own ed25519 key unless it exists."""

    root: str


@dataclass(frozen=True)
class Changed:
    """Whether a configuration file changed."""

    changed: bool


@dataclass(frozen=True)
class SwitchHostKey(Request[Changed]):
    """Make the host's own key the only one that sshd presents, and keep cloud-init from creating others."""

    root: str


@dataclass(frozen=True)
class Scrubbed:
    """Paths that were removed or changed."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class ScrubInjectedHostKey(Request[Scrubbed]):
    """Remove the host key of the user-data, also from cloud-init's caches, once the first boot has ended."""

    root: str
    seconds: float
    """Timeout of the first boot."""
