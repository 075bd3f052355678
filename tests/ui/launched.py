"""The UI's launcher, and the session of a browser."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from tests.app.launched import Launched, append, as_it_is, wait_for
from tests.app.processes import get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

ROOT = Path(__file__).resolve().parents[2]


class Ui(Launched):
    """The UI's launcher with the layout of its image, and pages that a test replaces."""

    def __init__(self, place: Path, api_url: str, folder: str = "") -> None:
        """folder: directory below `place` for the changed copies of the pages."""
        super().__init__(ROOT / "ui", place, folder)
        self._api_url = api_url
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("images/launcher", "images/ui/launcher"):
            shutil.copytree(ROOT / name, place / "srv" / name, ignore=ignored)
        self.put(as_it_is)

    def put_more(self, file: str, text: str) -> Path:
        """Replace the launcher's pages with a copy of the repository's that has more text at the end of one file."""
        return self.put(lambda code: append(code / file, text))

    def exchange(self, file: str, text: str) -> dict[str, Any]:
        """Reload with a changed file; return the body of `GET /code` after the launcher has activated or refused it."""
        before = self.code()
        self.put_more(file, text)
        self.hang_up()
        wait_for(
            lambda: (
                self.code()["serving"] != before["serving"] or self.code()["refused"] != before["refused"]
            ),
            "the launcher has decided",
        )
        return self.code()

    def code(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(self.port, "/code")[1])
        return found

    @contextmanager
    def running(self, *argv: str) -> Iterator[Ui]:
        environ = {
            "PYTHONPATH": str(self._place / "srv"),
            "HOME": str(self._place),
            "API_URL": self._api_url,
            "STREAMLIT_SERVER_PORT": str(self.port),
        }
        with self.run(list(argv) or ["-m", "images.ui.launcher"], self._place, environ):
            yield self

    def decided(self) -> dict[str, Any]:
        """Return the body of `GET /code` after the self-check of the start."""
        wait_for(lambda: answers(self.code) and (self.code()["tried"] or self.code()["refused"]), "they are")
        return self.code()

    def status(self, path: str) -> int:
        return get(self.port, path)[0]

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A browser's session."""
        with connect(f"ws://127.0.0.1:{self.port}/_stcore/stream", subprotocols=["streamlit"]) as line:  # type: ignore[list-item]
            yield Session(line)


class Session:
    """The state of a browser: its connection, and the ids of the buttons."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._buttons: dict[str, str] = {}

    def click(self, button: str = "") -> str:
        """Press a button, or request the page; return all text that the page then shows."""
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        if button:
            state = asked.rerun_script.widget_states.widgets.add()
            state.id, state.trigger_value = self._buttons[button], True
        self._line.send(asked.SerializeToString())
        shown = ""
        while True:
            message = ForwardMsg()
            message.ParseFromString(self._line.recv(timeout=30))  # type: ignore[arg-type]
            element = message.delta.new_element
            if element.WhichOneof("type") == "button":
                self._buttons[element.button.label] = element.button.id
            shown += str(message.delta)
            if message.WhichOneof("type") == "script_finished":
                return shown


def answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (OSError, ValueError):
        return False
    return True
