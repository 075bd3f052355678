"""How a stack logs in to its host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import StackSettings


@dataclass(frozen=True)
class Login:
    """The login as it stands in the inputs of a resource: text only, and no secret in it."""

    user: str
    private_key_file: str
    """Empty: the key is in the ssh-agent of whoever pushes."""
    public_key: str
    jump: str
    """`user@host[:port]`; empty for none."""
    jump_host_key: str

    @classmethod
    def of(cls, settings: StackSettings) -> Login:
        """The login that a stack's configuration asks for."""
        return cls(
            user=settings.ssh_user,
            private_key_file=str(settings.ssh_private_key_file or ""),
            public_key=settings.public_key(),
            jump=settings.ssh_jump or "",
            jump_host_key=settings.ssh_jump_host_key or "",
        )
