"""The login to a stack's host: one value from the configuration to the connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from provisioning.config.passphrase import read_passphrase
from provisioning.config.project import expand_user
from provisioning.config.settings import Jump, Target
from provisioning.errors import SettingsError


@dataclass(frozen=True)
class Login:
    """User, key and jump host; neither the host's address nor a secret. Checked when it is made."""

    user: str
    private_key_file: Path | None
    """As configured: a relative path starts at the project's root. None: the key is in the ssh-agent."""
    public_key: str = ""
    """The key that may log in, `type base64`; it selects the ssh-agent's key."""
    jump: Jump | None = None

    @classmethod
    def of(cls, values: Mapping[str, object], prefix: str = "") -> Self:
        """Return the login that resource properties hold, or (prefix `ssh_`) a stack's outputs.

        `user`, `private_key_file`, `public_key`, `jump` (`user@host[:port]`) and `jump_host_key` are text; all but
        the first may be empty or missing. Raises SettingsError for a jump host that cannot be used.
        """
        text = {name: str(values.get(prefix + name) or "") for name in _PROPERTIES}
        if text["jump_host_key"] and not text["jump"]:
            raise SettingsError("ssh_jump_host_key", "there is no sshJump for it")
        return cls(
            user=text["user"],
            private_key_file=Path(text["private_key_file"]) if text["private_key_file"] else None,
            public_key=text["public_key"],
            jump=Jump.parse(text["jump"], text["jump_host_key"]) if text["jump"] else None,
        )

    def properties(self, prefix: str = "") -> dict[str, str]:
        """Return the text that `of` reads."""
        values = (
            self.user,
            str(self.private_key_file or ""),
            self.public_key,
            self.jump.text if self.jump else "",
            self.jump.host_key if self.jump else "",
        )
        return {prefix + name: value for name, value in zip(_PROPERTIES, values, strict=True)}

    def target(self, host: str, host_keys: tuple[str, ...], project_root: Path) -> Target:
        """Return the target of a connection to `host`, which trusts `host_keys` alone.

        Reads the key file's passphrase where it has one. Raises SettingsError for a value that cannot be used.
        """
        key_file = project_root / expand_user(self.private_key_file) if self.private_key_file else None
        return Target(
            host=host,
            user=self.user,
            private_key_file=key_file,
            host_keys=host_keys,
            passphrase=read_passphrase(key_file),
            login_key=self.public_key,
            jump=self.jump,
        )


_PROPERTIES = ("user", "private_key_file", "public_key", "jump", "jump_host_key")
