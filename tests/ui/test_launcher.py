"""Reload of the UI's pages: the real launcher, the real Streamlit, copies of the UI's own pages."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from images.ui.launcher.__main__ import MODULES
from images.ui.launcher.snapshot import SnapshotError, take_snapshot
from tests.app.launched import append, as_it_is, wait_for
from tests.app.processes import children
from tests.ui.launched import Ui

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ui.fake_api import FakeApi

pytestmark = pytest.mark.process
MORE = """
_page = page


def page() -> None:
    _page()
    st.caption("one line more")
"""


@pytest.fixture
def ui(api: FakeApi, tmp_path: Path) -> Iterator[Ui]:
    found = Ui(tmp_path, api.url)
    with found.running():
        assert found.decided() == {"serving": found.code()["serving"], "tried": True, "refused": None}
        yield found


def test_the_next_click_of_an_open_session_runs_new_pages_and_the_session_continues(ui: Ui) -> None:
    (server,) = children(ui.pid)
    with ui.session() as browser:
        assert "one line more" not in browser.click()
        assert "Answered by model" in browser.click("Get Prediction")
        seen = {ui.code()["serving"]}
        for turn in range(5):
            found = ui.exchange("app_pages/predict.py", f"{MORE}# {turn}")
            assert (found["tried"], found["refused"]) == (True, None)
            seen.add(found["serving"])
            assert "one line more" in browser.click()
            assert "Answered by model" in browser.click("Get Prediction")
        assert len(seen) == 6
    assert children(ui.pid) == [server]
    assert len(list((ui.log.parent / "state/code").iterdir())) == 2


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("app_pages/drift.py", "def page(:", r"app_pages/drift.py, line \d+: invalid syntax"),
        (
            "app_pages/drift.py",
            "import nothing_like_it",
            r"app_pages/drift.py, line \d+: ModuleNotFoundError",
        ),
        (
            "app_pages/status.py",
            "def page() -> None:\n    st.title(open('/secret').read())",
            r"app_pages/status.py, line \d+: FileNotFoundError",
        ),
        (
            "app_pages/status.py",
            "def page() -> None:\n    raise SystemExit(0)",
            r"app_pages/status.py, line \d+: SystemExit",
        ),
        ("streamlit_app.py", "del PAGES", "KeyError|AttributeError"),
        ("display/wording.py", "raise SystemExit(0)", r"display/wording.py, line \d+: SystemExit"),
        ("api/client.py", "import os\nos._exit(3)", "the process of its self-check ended with status 3"),
        ("api/client.py", "import os\nos._exit(0)", "the process of its self-check ended with status 0"),
    ],
)
def test_pages_that_fail_are_refused_with_line_and_error_type_and_the_active_ones_keep_serving(
    ui: Ui, file: str, text: str, why: str
) -> None:
    before = ui.code()
    with ui.session() as browser:
        browser.click()
        found = ui.exchange(file, text)
        assert found["serving"] == before["serving"]
        assert found["tried"]
        assert re.fullmatch(why, found["refused"]["why"])
        assert "Predict" in browser.click()
    assert "is refused, the active code keeps serving" in ui.log.read_text()

    # Restored code ends the refusal, and code that works is activated after it.
    ui.put(as_it_is)
    ui.hang_up()
    wait_for(lambda: ui.code()["refused"] is None, "the refusal is over")
    assert ui.code()["serving"] == before["serving"]
    assert ui.exchange("display/wording.py", "# works")["refused"] is None


def test_a_page_that_ends_early_by_streamlits_own_means_works(ui: Ui) -> None:
    found = ui.exchange("app_pages/status.py", "def page() -> None:\n    st.stop()")
    assert (found["tried"], found["refused"]) == (True, None)


def test_the_message_of_an_error_is_in_the_log_and_not_on_the_port(ui: Ui) -> None:
    found = ui.exchange("app_pages/status.py", "def page() -> None:\n    raise ValueError('key-of-somebody')")
    assert "key-of-somebody" not in str(found)
    assert "key-of-somebody" in ui.log.read_text()


def test_pages_that_never_end_are_refused_in_time(ui: Ui) -> None:
    found = ui.exchange("app_pages/status.py", "import time\ntime.sleep(60)")
    assert found["refused"]["why"] == "its pages did not finish within 15 s"
    wait_for(lambda: len(children(ui.pid)) == 1, "the self-check has ended")


def test_pages_that_come_during_a_self_check_are_checked_after_it(ui: Ui, tmp_path: Path) -> None:
    ui.put_more("display/wording.py", "import time\ntime.sleep(1)")
    ui.hang_up()
    wait_for(lambda: len(children(ui.pid)) == 2, "its self-check runs")
    last = take_snapshot(ui.put_more("display/wording.py", "# the last"), tmp_path / "store")
    ui.hang_up()
    wait_for(lambda: ui.code()["serving"] == last.digest, "the last of them serves")
    assert ui.log.read_text().count("is active") == 2
    assert ui.code()["refused"] is None


def test_pages_work_without_an_api_too(tmp_path: Path, closed_port: int) -> None:
    ui = Ui(tmp_path, f"http://127.0.0.1:{closed_port}")
    with ui.running():
        assert ui.decided()["tried"]


def test_a_start_with_pages_that_fail_serves_the_previous_ones(api: FakeApi, tmp_path: Path) -> None:
    ui = Ui(tmp_path, api.url, folder=".data")
    ui.put_more("app_pages/drift.py", "def page(:")
    with ui.running():
        wait_for(lambda: ui.decided()["tried"], "the previous ones serve")
        assert "line" in ui.code()["refused"]["why"]
        with ui.session() as browser:
            assert "Predict" in browser.click()
        found = ui.exchange("display/wording.py", "# works")
        assert (found["tried"], found["refused"]) == (True, None)


def test_a_start_with_verified_pages_that_fail_checks_them_again_and_serves_no_older_ones(
    api: FakeApi, tmp_path: Path
) -> None:
    ui = Ui(tmp_path, api.url)
    there = tmp_path / "there"
    ui.as_on_host(
        lambda code: append(code / "app_pages/drift.py", f"open({str(there)!r}).close()"),
        lambda live: take_snapshot(live, tmp_path / "store").digest,
    )
    soon = (
        "from images.launcher.entry_point import run; from images.ui.launcher import __main__ as main, launcher; "
        "launcher.AGAIN_SECONDS = 1.0; raise SystemExit(run(launcher.Launcher, 'ui', 'ui', main.MODULES))"
    )
    with ui.running("-c", soon):
        found = ui.decided()
        assert (found["serving"], found["tried"]) == ("", False)
        assert found["refused"]["why"].endswith("FileNotFoundError")
        there.touch()
        wait_for(lambda: ui.code()["tried"], "they work again")
        assert (ui.code()["serving"], ui.code()["refused"]) == (found["refused"]["code"], None)
        assert "is active" not in ui.log.read_text()


def test_a_start_with_pages_that_fail_and_no_previous_ones_is_not_healthy(
    api: FakeApi, tmp_path: Path
) -> None:
    ui = Ui(tmp_path, api.url)
    ui.put_more("app_pages/drift.py", "def page() -> None:\n    {}['x']")
    with ui.running():
        found = ui.decided()
        assert not found["tried"]
        assert found["refused"]["why"].endswith("KeyError")
        assert ui.status("/code") == 503
        assert ui.status("/_stcore/health") == 200
        found = ui.exchange("display/wording.py", "# works")
        assert (found["tried"], found["refused"], ui.status("/code")) == (True, None, 200)


def test_no_process_is_left_of_a_launcher_that_is_killed(ui: Ui) -> None:
    (server,) = children(ui.pid)
    os.kill(ui.pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{server}").exists(), "the server has ended")


def test_sigterm_ends_every_process_during_a_session_and_a_self_check(ui: Ui) -> None:
    with ui.session() as browser:
        browser.click()
        ui.put_more("display/wording.py", "import time\ntime.sleep(60)")
        ui.hang_up()
        wait_for(lambda: len(children(ui.pid)) == 2, "its self-check runs")
        everything = children(ui.pid)
        assert ui.process is not None
        ui.process.terminate()
        assert ui.process.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in everything)


def test_a_server_that_ends_by_itself_ends_the_launcher_with_its_status(ui: Ui) -> None:
    (server,) = children(ui.pid)
    os.kill(server, signal.SIGKILL)
    assert ui.process is not None
    assert ui.process.wait(30) == 137


def test_a_launcher_forks_from_a_process_without_threads(ui: Ui) -> None:
    assert len(list(Path(f"/proc/{ui.pid}/task").iterdir())) == 1
    assert "streamlit.testing.v1" in MODULES


def test_a_missing_directory_is_an_error_of_the_snapshot(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        take_snapshot(tmp_path / "nowhere", tmp_path)
