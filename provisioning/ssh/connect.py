"""Connect and log in to a host, directly or through a jump host, with every host key pinned."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from provisioning.config.keys import fingerprint
from provisioning.config.settings import Jump, Target
from provisioning.host_errors import (
    AlgorithmsTooWeak,
    AuthFailed,
    HostKeyMismatch,
    NoBanner,
    UnknownHost,
    Unreachable,
)
from provisioning.ssh.connection import Connection
from provisioning.ssh.keys import login_keys
from provisioning.ssh.timeouts import BROKEN, Timeouts

# What paramiko 5 still offers although nobody should use it any more.
DISABLED_ALGORITHMS = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96"],
    # The server chooses the group, and paramiko takes one of 1024 bits.
    "kex": ["diffie-hellman-group-exchange-sha256"],
}
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_UNACKNOWLEDGED_MS = 15_000


def connect(target: Target, timeouts: Timeouts | None = None) -> Connection:
    """Return a logged-in connection to a host whose key is one of `target.host_keys`.

    With `target.jump` the connection passes through that host, whose key is pinned too; both use the same login
    key. Raises UnknownHost, Unreachable, NoBanner, AlgorithmsTooWeak, HostKeyMismatch (before authentication),
    AuthFailed, and SettingsError for a login key that cannot be used.
    """
    limits = timeouts or Timeouts()
    jump = target.jump
    opened: list[paramiko.Transport] = []
    try:
        with login_keys(target) as (keys, named):
            stream: socket.socket | paramiko.Channel = _dial(jump or target, limits)
            if jump:
                opened.append(_negotiate(stream, jump.address, (jump.host_key,), limits))
                _authenticate(opened[0], jump.user, jump.address, keys, named, limits)
                stream = _go_through(opened[0], target, jump, limits)
            opened.append(_negotiate(stream, target.address, target.host_keys, limits))
            _authenticate(opened[-1], target.user, target.address, keys, named, limits)
    except BaseException:
        # The outer one first: closing the inner one would write through it.
        for transport in opened:
            transport.close()
        raise
    return Connection(tuple(opened), target, limits)


def _dial(place: Target | Jump, limits: Timeouts) -> socket.socket:
    try:
        stream = socket.create_connection((place.host, place.port), timeout=limits.tcp)
    except socket.gaierror as error:
        raise UnknownHost(place.address, place.host) from error
    except TimeoutError as error:
        hint = _private_hint(place) if isinstance(place, Target) else ""
        raise Unreachable(place.address, f"no answer within {limits.tcp:.0f} s", hint=hint) from error
    except OSError as error:
        raise Unreachable(place.address, (error.strerror or str(error)).lower()) from error
    # Questions are small and each waits for its answer: none of them may wait for company.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    return stream


def _private_hint(target: Target) -> str:
    try:
        private = ipaddress.ip_address(target.host).is_private
    except ValueError:
        return ""
    return (
        f"{target.host} is a private address: reach it from inside its network, or through a jump host "
        "(onebox:sshJump)."
        if private
        else ""
    )


def _go_through(outer: paramiko.Transport, target: Target, jump: Jump, limits: Timeouts) -> paramiko.Channel:
    try:
        return outer.open_channel(
            "direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=limits.channel
        )
    except BROKEN as error:
        reason = f"the jump host {jump.address} cannot reach the host ({error})"
        hint = "Check that it may forward (AllowTcpForwarding) and that port 22 is open for its address."
        raise Unreachable(target.address, reason, hint=hint) from error


def _negotiate(
    stream: socket.socket | paramiko.Channel, address: str, trusted: tuple[str, ...], limits: Timeouts
) -> paramiko.Transport:
    transport = paramiko.Transport(stream, disabled_algorithms=DISABLED_ALGORITHMS)
    transport.daemon = True
    # Manifests and scripts go back and forth as text; an archive, which does not shrink, is a small part of it.
    transport.use_compression(True)
    transport.banner_timeout = limits.banner
    transport.auth_timeout = limits.auth
    transport.channel_timeout = limits.channel
    options = transport.get_security_options()
    # Trusted types first, so that a host with several keys shows the one that can be checked; the
    # others stay, so that a changed host is reported with its fingerprint.
    types = [key.split()[0] for key in trusted]
    wanted = {name for kind in types for name in _SIGNATURES.get(kind, (kind,))}
    options.key_types = sorted(options.key_types, key=lambda name: name not in wanted)
    try:
        # When its time is over, start_client returns as if all were well; asking for the key tells.
        transport.start_client(timeout=limits.banner)
        shown = transport.get_remote_server_key()
    except BROKEN as error:
        transport.close()
        stream.close()
        if isinstance(error, IncompatiblePeer):
            raise AlgorithmsTooWeak(address, str(error).rpartition("(")[2].rstrip(")")) from error
        reason = (
            "no banner was received yet"
            if "session" in str(error)
            else str(error) or "the connection was closed"
        )
        raise NoBanner(address, reason) from error
    found = f"{shown.get_name()} {shown.get_base64()}"
    if found not in trusted:
        transport.close()
        kind = "" if shown.get_name() in types else f"{shown.get_name()} "
        raise HostKeyMismatch(address, kind + fingerprint(found), tuple(fingerprint(key) for key in trusted))
    return transport


def _authenticate(
    transport: paramiko.Transport,
    user: str,
    address: str,
    keys: Sequence[paramiko.PKey],
    named: str,
    limits: Timeouts,
) -> None:
    for key in keys:
        try:
            missing = transport.auth_publickey(user, key)
        except paramiko.AuthenticationException as error:
            if "timeout" in str(error).lower():
                raise NoBanner(address, f"login did not end within {limits.auth:.0f} s") from error
            if key is keys[-1]:
                raise AuthFailed(address, user, named) from error
        except BROKEN as error:
            raise NoBanner(address, f"closed during login ({error})") from error
        else:
            if missing:
                raise AuthFailed(address, user, named, f"it also requires {', '.join(missing)}")
            return
