"""The host's own key: made there, pinned, and then the only one it shows. `/etc` lies in a temporary directory."""

from __future__ import annotations

import pickle
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provisioning.deadline import Deadline
from provisioning.deploy.push import push_release
from provisioning.events import StepFinished, silent
from provisioning.host.host_key import make_host_key, seal_host_key
from provisioning.host_errors import CommandFailed, HostKeyMismatch
from provisioning.ssh import connect

pytestmark = pytest.mark.process

# sshd -T shows the keys of the files that are there; systemctl reload has the test's server take the own key.
SSHD = """#!/bin/sh
cat "$HOME"/system/etc/ssh/sshd_config "$HOME"/system/etc/ssh/sshd_config.d/*.conf | grep -i '^HostKey'
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/reloads"
cp "$HOME/system/etc/ssh/onebox/host_ed25519" "$HOME/../host_key"
"""


@pytest.fixture
def system(host: Any, tmp_path: Path) -> Path:
    for name, text in {"sshd": SSHD, "systemctl": SYSTEMCTL}.items():
        (host.home / "bin" / name).write_text(text)
        (host.home / "bin" / name).chmod(0o755)
    root: Path = host.home / "system"
    for name in ("etc/ssh/sshd_config.d", "etc/cloud/cloud.cfg.d", "var/lib/cloud/instances/i-1"):
        (root / name).mkdir(parents=True)
    (root / "etc/ssh/sshd_config").write_text("HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM yes\n")
    injected = (tmp_path / "host_key").read_text()
    (root / "etc/ssh/ssh_host_ed25519_key").write_text(injected)
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_text("public")
    cache = root / "var/lib/cloud/instances/i-1"
    indented = "".join(f"    {line}\n" for line in injected.splitlines())
    (cache / "user-data.txt").write_text(f"ssh_keys:\n  ed25519_private: |\n{indented}other: kept\n")
    (cache / "obj.pkl").write_bytes(pickle.dumps({"userdata": injected, "other": "kept"}))
    return root


def seal(host: Any, own: str, system: Path) -> None:
    target = replace(host.target, host_keys=(own,))
    seal_host_key(target, Deadline(600), silent, injected_key=host.host_key, root=str(system)).close()


def test_the_own_key_is_made_once_and_is_for_root_only(host: Any, system: Path) -> None:
    first = make_host_key(host.target, root=str(system))

    assert make_host_key(host.target, root=str(system)) == first
    assert first.startswith("ssh-ed25519 ")
    private = system / "etc/ssh/onebox/host_ed25519"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in private.parent.iterdir()] == ["host_ed25519"]


def test_a_half_written_own_key_is_made_again(host: Any, system: Path) -> None:
    (system / "etc/ssh/onebox").mkdir()
    (system / "etc/ssh/onebox/host_ed25519").write_text("half")

    assert make_host_key(host.target, root=str(system)).startswith("ssh-ed25519 ")


def test_creating_a_key_leaves_the_injected_one_active(host: Any, system: Path) -> None:
    make_host_key(host.target, root=str(system))

    with connect(host.target) as connection:
        assert connection.active


def test_a_sealed_host_shows_only_its_own_key(host: Any, system: Path) -> None:
    own = make_host_key(host.target, root=str(system))

    seal(host, own, system)

    with connect(replace(host.target, host_keys=(own,))) as connection:
        assert connection.active
    with pytest.raises(HostKeyMismatch):
        connect(host.target)
    assert not list(system.glob("etc/ssh/ssh_host_*"))
    assert "#HostKey /etc/ssh/ssh_host_ed25519_key" in (system / "etc/ssh/sshd_config").read_text()
    cloud = (system / "etc/cloud/cloud.cfg.d/99-onebox-host-key.cfg").read_text()
    assert cloud == "ssh_deletekeys: false\nssh_genkeytypes: []\n"


def test_the_first_key_is_scrubbed_from_cloud_inits_caches_which_stay_readable(
    host: Any, system: Path, tmp_path: Path
) -> None:
    secret = (tmp_path / "host_key").read_text().splitlines()[1]
    seal(host, make_host_key(host.target, root=str(system)), system)

    found = subprocess.run(["grep", "-rlE", f"{secret}|BEGIN OPENSSH PRIVATE", system / "var"], check=False)
    assert found.returncode == 1
    cache = system / "var/lib/cloud/instances/i-1"
    assert pickle.loads((cache / "obj.pkl").read_bytes())["other"] == "kept"  # noqa: S301 - our own, from above
    assert (cache / "user-data.txt").read_text().endswith("other: kept\n")


def test_sealing_is_idempotent(host: Any, system: Path) -> None:
    own = make_host_key(host.target, root=str(system))
    seal(host, own, system)

    seal(host, own, system)

    assert make_host_key(replace(host.target, host_keys=(own,)), root=str(system)) == own


@pytest.mark.parametrize("done", ["nothing", "files", "reload"])
def test_sealing_continues_after_a_crash(host: Any, system: Path, done: str) -> None:
    own = make_host_key(host.target, root=str(system))
    if done != "nothing":
        (system / "etc/ssh/sshd_config.d/10-onebox-host-key.conf").write_text(
            f"HostKey {system}/etc/ssh/onebox/host_ed25519\n"
        )
    if done == "reload":
        (host.sshd.host_key_file).write_text((system / "etc/ssh/onebox/host_ed25519").read_text())

    seal(host, own, system)

    with connect(replace(host.target, host_keys=(own,))) as connection:
        assert connection.active
    assert not list(system.glob("etc/ssh/ssh_host_*"))


def test_a_configuration_that_sshd_refuses_is_rolled_back(host: Any, system: Path) -> None:
    own = make_host_key(host.target, root=str(system))
    (host.home / "bin/sshd").write_text("#!/bin/sh\necho bad line >&2\nexit 255\n")

    with pytest.raises(CommandFailed, match="sshd does not accept the key as its only one: bad line"):
        seal(host, own, system)

    assert not (system / "etc/ssh/sshd_config.d/10-onebox-host-key.conf").exists()
    assert (system / "etc/ssh/ssh_host_ed25519_key").exists()
    assert not (host.home / "reloads").exists()


def test_the_first_push_seals_the_key_over_the_connection_that_it_pushes_over(
    host: Any, system: Path
) -> None:
    own = make_host_key(host.target, root=str(system))
    sealed = replace(host.target, host_keys=(own,))
    trusted: list[tuple[str, ...]] = []
    steps: list[str] = []

    def counted(target: Any) -> Any:
        connection = connect(target)
        trusted.append(target.host_keys)
        return connection

    result = push_release(
        replace(host.settings(), target=sealed),
        lambda event: steps.append(event.step) if isinstance(event, StepFinished) else None,
        log_in=partial(seal_host_key, injected_key=host.host_key, root=str(system)),
        connector=counted,
        run_dir=str(host.home / "cloud-init"),
    )

    assert result.changed
    assert trusted == [(own, host.host_key), (own,)]
    assert steps[:4] == ["read the release", "connect", "connect", "remove the injected host key"]
    assert not list(system.glob("etc/ssh/ssh_host_*"))
