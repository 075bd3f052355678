"""Charts as Vega-Lite specifications. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN = "#0f6e75"
QUIET = "#b9ccd0"
BAR_PIXELS = 40


def bars(values: Mapping[str, float], *, highlight: str | None, percent: bool) -> dict[str, Any]:
    """Return a chart with one horizontal bar per name, in the given order, with its value beside it.

    `percent`: the values are shares of 1, and the axis always ends at 100 %.
    `highlight`: the one bar in the main colour, None for all.
    """
    longest = 1 if percent else max([1, *values.values()])
    text = ".1%" if percent else ",d"
    value = {"field": "value", "type": "quantitative"}
    names = {"labelFontSize": 13, "labelLimit": 260, "labelPadding": 8, "ticks": False, "domain": False}
    colour = {"condition": {"test": "datum.main", "value": MAIN}, "value": QUIET}
    return {
        "data": {
            "values": [
                {"name": name, "value": number, "main": highlight in {None, name}}
                for name, number in values.items()
            ]
        },
        "height": BAR_PIXELS * len(values),
        # The text of a full bar is beyond the end of the scale.
        "padding": {"right": 56},
        "encoding": {
            "x": value | {"scale": {"domain": [0, longest]}, "axis": None},
            "y": {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": names},
            "tooltip": [{"field": "name", "type": "nominal"}, value | {"format": text}],
        },
        "layer": [
            {"mark": {"type": "bar", "size": 22, "cornerRadius": 3}, "encoding": {"color": colour}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 13},
                "encoding": {"text": value | {"format": text}},
            },
        ],
    }
