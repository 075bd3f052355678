"""The UI where the API asks for a key: the real server, the real pages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.training.assemble import train
from app.training.data import iris
from app.training.publication import write
from tests.app.processes import free_port, get, server, wait_until_ready
from tests.ui.pages import open_app, switch
from ui.api.client import ApiClient
from ui.errors import ApiRefused, SettingsError
from ui.session import api_client
from ui.settings import UiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
KEY = "the-key-of-the-ui"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that answers nobody without KEY."""
    home = tmp_path_factory.mktemp("api")
    write(train(iris())[0], home / "models")
    keys = home / "api_keys"
    keys.write_text(hashlib.sha256(KEY.encode()).hexdigest())
    found = free_port()
    settings: dict[str, Any] = {"API_WORKERS": "1", "ONEBOX_API_KEYS_FILE": str(keys)}
    with server(ROOT, found, home / "models", home / "state", **settings) as process:
        wait_until_ready(found, process)
        yield found


@pytest.fixture
def page(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The UI's first page, with KEY in its secret file."""
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("ONEBOX_UI_API_KEY_FILE", str(tmp_path / "key"))
    api_client.cache_clear()
    yield open_app()
    api_client.cache_clear()


def shown(app: AppTest) -> str:
    return " ".join(
        str(item.value) for kind in (app.markdown, app.metric, app.error, app.warning) for item in kind
    )


@pytest.mark.process
def test_the_api_of_these_tests_answers_nobody_without_a_key(port: int) -> None:
    assert get(port, "/drift")[0] == 401
    with pytest.raises(ApiRefused) as refused:
        ApiClient(UiSettings(f"http://127.0.0.1:{port}")).drift()
    assert refused.value.status == 401


@pytest.mark.process
def test_a_prediction_is_shown(page: AppTest) -> None:
    after = page.button(key="get-prediction").click().run()
    assert not after.exception
    assert not after.error
    assert any(name in shown(after) for name in ("setosa", "versicolor", "virginica"))


@pytest.mark.process
@pytest.mark.parametrize("name", ["history", "drift", "experiment", "status"])
def test_every_other_page_works_too(page: AppTest, name: str) -> None:
    opened = switch(page, name)
    assert not opened.exception
    assert not opened.error
    assert "key is required" not in shown(opened)


@pytest.mark.process
def test_the_key_never_reaches_the_browser(page: AppTest) -> None:
    after = page.button(key="get-prediction").click().run()
    assert KEY not in shown(after)
    assert KEY not in str(after.main)


@pytest.mark.parametrize("content", ["", "\n", " \n"])
def test_an_empty_file_is_no_key(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    assert UiSettings.from_environ({"ONEBOX_UI_API_KEY_FILE": str(tmp_path / "key")}).api_key is None


@pytest.mark.parametrize(
    "content", [b"two words", b"one\ntwo", b"\xff\xfe", b"a" * 513, "schlüssel".encode()]
)
def test_a_file_that_holds_no_key_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match="ONEBOX_UI_API_KEY_FILE") as refused:
        UiSettings.from_environ({"ONEBOX_UI_API_KEY_FILE": str(tmp_path / "key")})
    assert "two" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        UiSettings.from_environ({"ONEBOX_UI_API_KEY_FILE": str(tmp_path / "none")})


def test_the_settings_do_not_show_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    found = UiSettings.from_environ({"ONEBOX_UI_API_KEY_FILE": str(tmp_path / "key")})
    assert found.api_key == KEY
    assert KEY not in repr(found)
