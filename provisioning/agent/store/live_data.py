"""Data that a service reloads: switch it by one rename, and record what the service has loaded.

The service mounts <root>/live/<variable>, which is always the same directory. Each entry in it is a link
through `.current`, which one rename moves: a reader sees all of the old data or all of the new.
"""

from __future__ import annotations

import os
import shutil
from typing import Union

from provisioning.agent.files import link_target, sha256_of, write_text
from provisioning.agent.store.journal import Journal
from provisioning.agent.store.manifest import FileEntry
from provisioning.agent.store.messages import ConfirmLiveData, Done, SwitchLiveData

OWN = {".data", ".current", ".in-force"}


def handle(request: Union[SwitchLiveData, ConfirmLiveData]) -> Done:
    """Switch the data, or record that it is loaded."""
    home = os.path.join(request.root, "live", request.variable)
    journal = Journal(request.root, request.journal)
    journal.begin()
    if isinstance(request, ConfirmLiveData):
        write_text(os.path.join(home, ".in-force"), request.digest, 0o644)
    else:
        _switch(home, os.path.join(request.root, "data", request.digest), request)
    journal.end()
    return Done()


def _switch(home: str, source: str, request: SwitchLiveData) -> None:
    data = os.path.join(home, ".data")
    final = os.path.join(data, request.digest)
    marker, current = os.path.join(home, ".in-force"), os.path.join(home, ".current")
    os.makedirs(data, exist_ok=True)
    for folder in (os.path.dirname(home), home, data):
        os.chmod(folder, 0o755)
    # From here on it is unknown what the service has loaded.
    if os.path.lexists(marker):
        os.unlink(marker)
    if os.path.isdir(final):
        _fill(final, source, request.files)
    else:
        shutil.rmtree(final + ".partial", ignore_errors=True)
        os.makedirs(final + ".partial")
        _fill(final + ".partial", source, request.files)
        os.sync()
        os.replace(final + ".partial", final)
    before = os.path.basename(link_target(current))
    _point(current, ".data/" + request.digest)
    tops = {entry.path.split("/")[0] for entry in request.files}
    for name in tops:
        _point(os.path.join(home, name), ".current/" + name)
    for name in set(os.listdir(home)) - tops - OWN:
        path = os.path.join(home, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    for name in set(os.listdir(data)) - {request.digest, before}:
        shutil.rmtree(os.path.join(data, name), ignore_errors=True)


def _point(link: str, target: str) -> None:
    if link_target(link) == target:
        return
    if os.path.lexists(link + ".new"):
        os.unlink(link + ".new")
    os.symlink(target, link + ".new")
    if os.path.isdir(link) and not os.path.islink(link):
        shutil.rmtree(link)
    os.replace(link + ".new", link)


def _fill(directory: str, source: str, entries: tuple[FileEntry, ...]) -> None:
    wanted = {entry.path for entry in entries}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, directory) not in wanted:
                os.unlink(path)
    for entry in entries:
        path = os.path.join(directory, entry.path)
        if sha256_of(path) != entry.sha256:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(os.path.join(source, entry.path), path + ".new")
            os.replace(path + ".new", path)
        os.chmod(path, entry.mode)
    # The service reads it as another user, whatever the umask is.
    for folder, _, _ in os.walk(directory):
        os.chmod(folder, 0o755)
