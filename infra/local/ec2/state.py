"""The cloud's state: EC2's objects and the observed state of each instance, in one file, replaced atomically."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from infra.local.errors import StateUnreadableError
from infra.local.private_file import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.ec2.backend import CloudBackend

_FORMAT: Final = 2
_HINT: Final = (
    "Use the version that wrote it, or remove this cloud: python -m infra.local stop --all --name {name}"
)


@dataclass
class CloudState:
    """The state that a restarted daemon needs.

    `settled`: for each instance id the last state its container was seen to reach (running or stopped).
    `ended`: for each terminated instance id when it ended, in seconds since 1970.
    """

    backend: CloudBackend
    settled: dict[str, str] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)


def _writer() -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "moto": version("moto"),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def save(state: CloudState, path: Path) -> None:
    """Write the state atomically."""
    header = json.dumps(_writer()).encode() + b"\n"
    write_private(path, header + pickle.dumps(state))


def load(path: Path, name: str) -> CloudState:
    """Return the state that `save` wrote. Raises StateUnreadableError: damaged, or of another version."""
    header, _, body = path.read_bytes().partition(b"\n")
    hint = _HINT.format(name=name)
    try:
        writer = json.loads(header)
    except ValueError as error:
        raise StateUnreadableError(f"{path} is not a state of a local cloud.", hint) from error
    if writer != _writer():
        raise StateUnreadableError(f"{path} was written by {writer}, this is {_writer()}.", hint)
    try:
        state = pickle.loads(body)  # noqa: S301 - our own file, in a directory that only its owner can write
    except Exception as error:
        raise StateUnreadableError(f"{path} is damaged: {error!r}.", hint) from error
    if not isinstance(state, CloudState):
        raise StateUnreadableError(f"{path} holds no state of a cloud.", hint)
    return state
