"""State lies in a directory that only this user can have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.errors import ServerError
from app.shm.private_directory import make_private

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "state")
        make_private(tmp_path / "state")
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(ServerError, match="open to other users"):
        make_private(tmp_path / "state")


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ServerError, match="open to other users"):
        make_private(tmp_path / "state")


def test_a_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "mine")
    with pytest.raises(ServerError, match="open to other users"):
        make_private(tmp_path / "state")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ServerError, match="cannot be used"):
        make_private(tmp_path / "state")
