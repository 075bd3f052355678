"""Pure: render a forecast as lines of text. Whatever host and tree contribute is made printable."""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.plan.diff import Change, FileChange
from provisioning.plan.preview import Forecast, ValueChange

_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~", Change.MODE: "~"}


def plan_lines(forecast: Forecast, *, diffs: bool = True) -> list[str]:
    """Return the whole plan: release, services, split, files with diffs, values, repairs, upload and disk."""
    return [plain(line) for line in _lines(forecast, diffs)]


def short_lines(forecast: Forecast) -> list[str]:
    """Return the plan without diffs and without what does not change."""
    if forecast.nothing_to_do:
        return [plain(line) for line in ("nothing to do on the host", *_split_in_force(forecast))]
    changed = [item for item in forecast.services if item.container_action]
    kept = [item.service for item in forecast.services if not item.container_action]
    lines = [f"{item.service}: {item}" for item in changed]
    lines += [f"{', '.join(kept)}: nothing"] if kept else []
    lines += [_split(forecast)] if forecast.split_changed else []
    lines += _split_in_force(forecast)
    lines += [_files(forecast)] if forecast.files else []
    lines += [f"repair: {line}" for line in forecast.repairs]
    return [plain(line) for line in (*lines, *_disk(forecast))]


def plain(line: str) -> str:
    """Return a line without characters that a terminal would obey."""
    return "".join(char if char.isprintable() else "\t" if char == "\t" else "�" for char in line)


def _lines(forecast: Forecast, diffs: bool) -> Iterator[str]:
    now = forecast.current[:12] if forecast.current else "nothing"
    yield f"release {forecast.release[:12]}, the host serves {now}"
    for item in forecast.services:
        reason = f"  ({item.reason})" if item.reason else ""
        yield f"  {item.service:<16} {item}{reason}"
    if forecast.split:
        yield _split(forecast)
    yield from _split_in_force(forecast)
    for value in forecast.environment:
        yield f"value {_value(value)}"
    for change in forecast.files:
        yield _file(change)
        for line in (change.diff or ()) if diffs else ():
            yield f"    {line}"
    for line in forecast.repairs:
        yield f"repair: {line}"
    yield "nothing to do" if forecast.nothing_to_do else _files(forecast)
    yield from _disk(forecast)


def _files(forecast: Forecast) -> str:
    count = len(forecast.files)
    return (
        f"{count} file{'' if count == 1 else 's'} differ{'s' if count == 1 else ''}; to send: "
        f"{forecast.upload_files}, {in_units(forecast.upload_bytes)} before compression"
    )


def _file(change: FileChange) -> str:
    sign, sides = _SIGNS[change.change], [side for side in (change.before, change.after) if side]
    if change.change is Change.MODE:
        return f"{sign} {change.path} (mode {' -> '.join(f'{side.mode:o}' for side in sides)})"
    if change.diff is not None:
        return f"{sign} {change.path}"
    told = " -> ".join(f"{in_units(side.size)} {side.sha256[:12]}" for side in sides)
    return f"{sign} {change.path} ({told})"


def _value(change: ValueChange) -> str:
    before, after = ("unset" if value is None else repr(value) for value in (change.before, change.after))
    return f"{change.name}: {before} -> {after}"


def _split(forecast: Forecast) -> str:
    before = "/".join(weight.before or "?" for weight in forecast.split)
    after = "/".join(weight.after or "?" for weight in forecast.split)
    if not forecast.split_changed:
        return f"split {after}, unchanged"
    known = any(weight.before is not None for weight in forecast.split)
    return f"split {before} -> {after}" if known else f"split {after}"


def _split_in_force(forecast: Forecast) -> Iterator[str]:
    if forecast.split_in_force:
        effect = "ends it" if forecast.ends_split_in_force else "keeps it"
        yield f"drift: {forecast.split_in_force}; a push {effect}"


def _disk(forecast: Forecast) -> Iterator[str]:
    if forecast.nothing_to_do:
        return
    needed, free = in_units(forecast.disk_needed), in_units(forecast.disk_free)
    yield f"disk: at most {needed} needed, {free} free"
    if forecast.disk_free < forecast.disk_needed:
        yield "warning: that is more than the host has"


def in_units(count: int) -> str:
    """Return a number of bytes with its unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
