from __future__ import annotations

from ui.display.charts import bars


def test_bars_keep_their_order_and_mark_one() -> None:
    spec = bars({"b": 0.9, "a": 0.1}, highlight="b", percent=True)
    assert spec["data"]["values"] == [
        {"name": "b", "value": 0.9, "main": True},
        {"name": "a", "value": 0.1, "main": False},
    ]
    assert spec["encoding"]["y"]["sort"] is None


def test_shares_are_drawn_against_a_whole() -> None:
    spec = bars({"a": 0.1}, highlight="a", percent=True)
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, 1]


def test_counts_are_drawn_against_the_largest_also_while_all_are_zero() -> None:
    assert bars({"a": 7, "b": 9}, highlight=None, percent=False)["encoding"]["x"]["scale"]["domain"] == [0, 9]
    assert bars({"a": 0, "b": 0}, highlight=None, percent=False)["encoding"]["x"]["scale"]["domain"] == [0, 1]


def test_no_names_make_an_empty_chart() -> None:
    assert bars({}, highlight=None, percent=False)["data"]["values"] == []
