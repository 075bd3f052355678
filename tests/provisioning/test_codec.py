"""Messages between the two sides: what is sent is what is read, and the table names all of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, get_type_hints

import pytest

from provisioning import agent
from provisioning.agent.codec import Malformed, decode, encode, from_json
from provisioning.agent.dispatch import HANDLERS, load
from provisioning.agent.protocol import Refused, Request, answer_type
from provisioning.agent.store.journal import append, entries_in, read_lines
from provisioning.agent.store.journal_entry import SCHEMA, JournalEntry
from provisioning.ssh.archive import pack, sources


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class Outer:
    number: int
    share: float
    inner: tuple[Inner, ...]
    by_name: dict[str, Inner]
    maybe: Optional[Inner] = None  # noqa: UP045 - as the agent has to write it
    anything: Any = None


WHOLE = Outer(1, 0.5, (Inner("a"),), {"b": Inner("c")}, Inner("d"), {"e": [1, None]})


def test_a_message_comes_back_as_it_was_sent() -> None:
    assert decode(Outer, encode(WHOLE)) == WHOLE


def test_an_absent_field_takes_its_default_and_an_unknown_one_is_ignored() -> None:
    found = from_json(Outer, {"number": 1, "share": 2, "inner": [], "by_name": {}, "later": True})

    assert found == Outer(1, 2.0, (), {})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"number": "1"},
        {"number": True},
        {"number": None},
        {"share": "0.5"},
        {"inner": {"name": "a"}},
        {"inner": [{"name": 1}]},
        {"by_name": [{"name": "a"}]},
        {"maybe": "d"},
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused(spoiled: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        from_json(Outer, json.loads(encode(WHOLE)) | spoiled)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 1', "[" * 100_000, b"\xff"])
def test_what_is_no_such_message_is_refused(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        decode(Outer, text)


def _requests() -> Iterator[type[Request[Any]]]:
    for path in Path(agent.__file__).parent.glob("*/messages.py"):
        module = importlib.import_module(f"{agent.__name__}.{path.parent.name}.messages")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Request) and value.__module__ == module.__name__:
                yield value


def test_each_request_has_one_handler_that_takes_it_and_returns_its_answer() -> None:
    requests = list(_requests())
    assert sorted(HANDLERS) == sorted(kind.__name__ for kind in requests)
    for kind in requests:
        found, handle = load(kind.__name__)
        hints = get_type_hints(handle)
        answer = answer_type(kind.__new__(kind))
        assert found is kind
        assert str(kind.__name__) in str(hints["request"])
        if answer is not type(None):
            assert answer.__name__ in str(hints["return"])


def test_the_archive_has_the_agent_alone_and_the_same_bytes_each_time() -> None:
    assert {path.split("/")[1] for path in sources() if path.count("/") > 1} == {"agent"}
    assert pack(sources()) == pack(sources())


def test_a_line_of_the_journal_has_its_schema_and_nothing_empty(tmp_path: Path) -> None:
    append(str(tmp_path), JournalEntry(step="publish", state="end", status=0, seconds=0.0))

    (line,) = read_lines(str(tmp_path))

    entry = json.loads(line)
    assert entry.pop("at")
    assert entry == {"schema": SCHEMA, "step": "publish", "state": "end", "status": 0, "seconds": 0.0}


def test_lines_without_a_schema_are_read_as_the_first_one() -> None:
    old = {"at": "then", "release": "r", "previous": None, "result": "ok", "took": {"api": 2}, "who": "ann"}

    (entry,) = entries_in([json.dumps(old), '{"cut o'])

    assert entry == JournalEntry(1, "then", release="r", result="ok", took={"api": 2.0}, who="ann")


@pytest.mark.parametrize("more", [{}, {"took": "of another shape"}])
def test_a_journal_of_a_newer_schema_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=f"schema {SCHEMA + 1}, this version reads up to {SCHEMA}"):
        list(entries_in([json.dumps({"schema": SCHEMA + 1, **more})]))
