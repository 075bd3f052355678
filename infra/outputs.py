"""Names and types of what the stack exports. Pure: no Pulumi, so that the push can read it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self


class OutputsError(ValueError):
    """The stack's outputs are not those of a finished `pulumi up`."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing
        self.hint = "Run `pulumi up` for this stack first; `pulumi stack output` shows what it has."
        super().__init__(f"the stack has no output named {', '.join(missing)}")


@dataclass(frozen=True)
class StackOutputs:
    """What `pulumi stack output` shows after a successful `pulumi up`, under these names."""

    public_ip: str
    api_url: str
    ui_url: str
    prometheus_url: str
    ssh_command: str
    host_key_fingerprint: str
    release: str
    """Digest of the release that the last `pulumi up` left serving."""
    host_public_key: str
    """The one host key to trust: `ssh-ed25519 AAAA…`, without host name."""
    ssh_user: str
    ssh_private_key_file: str
    """Path as configured; relative paths start at the project's root."""
    instance_id: str
    open_ports: list[int]
    """The ports that at least one address may reach."""
    service_environment: dict[str, str]
    """Plain values for the services' environment, as configured in the stack."""
    ssh_public_key: str = ""
    """The key that may log in, `type base64`: the one to take from an ssh-agent when no file is configured."""
    ssh_jump: str = ""
    """The jump host as `user@host[:port]`; empty for none."""
    ssh_jump_host_key: str = ""
    service_secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Values of the services' secrets. A secret of the state."""
    digest_key: str = field(default="", repr=False)
    """Key of the digests of those values. A secret of the state."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """The outputs as `pulumi stack output --json` gives them.

        Raises OutputsError naming every output that is missing; those with a default may be.
        Names this version does not know are left out.
        """
        needed = [item.name for item in fields(cls) if item.default is item.default_factory is MISSING]
        missing = [name for name in needed if name not in values]
        if missing:
            raise OutputsError(missing)
        return cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values})
