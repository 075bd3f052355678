"""Security groups as packet filters, in the syntax of iptables-restore.

The filter sits in mangle/PREROUTING of the instance's network namespace: before the nested Docker's DNAT, so that
published container ports are covered too. Packets of known connections pass, as with EC2's connection tracking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CHAIN = "ONEBOX-SG"
_PORT_PROTOCOLS = ("tcp", "udp")
_ALL = -1


@dataclass(frozen=True, order=True)
class Permission:
    """One ingress permission: `protocol` tcp, udp, icmp, -1 (all) or a number, from one IPv4 `source` network.

    `from_port` and `to_port` are a port range; for icmp a type and a code, where -1 is any.
    """

    protocol: str
    from_port: int
    to_port: int
    source: str


def _match(permission: Permission) -> str:
    source = "" if permission.source == "0.0.0.0/0" else f" -s {permission.source}"
    if permission.protocol == "-1":
        return source
    match = f"{source} -p {permission.protocol}"
    if permission.protocol in _PORT_PROTOCOLS:
        if (permission.from_port, permission.to_port) in ((_ALL, _ALL), (0, 65535)):
            return match
        ports = sorted({permission.from_port, permission.to_port})
        return f"{match} --dport {':'.join(map(str, ports))}"
    if permission.protocol == "icmp" and permission.from_port != _ALL:
        code = "" if permission.to_port == _ALL else f"/{permission.to_port}"
        return f"{match} --icmp-type {permission.from_port}{code}"
    return match


def _table(lines: Iterable[str]) -> str:
    # The chain line empties our chain, -F empties PREROUTING (mangle is ours alone), all in one commit.
    head = ["*mangle", f":{CHAIN} - [0:0]", "-F PREROUTING", f"-A PREROUTING -i eth0 -j {CHAIN}"]
    return "\n".join([*head, *lines, f"-A {CHAIN} -j DROP", "COMMIT"]) + "\n"


def filter_v4(permissions: Iterable[Permission]) -> str:
    """Return text for `iptables-restore --noflush`: new connections that no permission allows are dropped."""
    accepts = [f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    accepts += [f"-A {CHAIN}{_match(permission)} -j ACCEPT" for permission in sorted(set(permissions))]
    return _table(accepts)


def filter_v6() -> str:
    """Return text for `ip6tables-restore --noflush`: nothing passes, instances have no IPv6."""
    return _table(())
