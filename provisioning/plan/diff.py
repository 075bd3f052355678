"""Pure: the diff of the files of two releases."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioning.redaction import Mask
from provisioning.release.manifest import ReleaseFile

MAX_TEXT_BYTES = 128 * 1024
MAX_LINES = 400


class Change(StrEnum):
    """How a file differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MODE = "mode"
    """Only whether it can be executed."""


@dataclass(frozen=True)
class FileChange:
    """One file that differs. `diff` is a redacted unified diff; None where only size and hash are shown."""

    path: str
    change: Change
    before: ReleaseFile | None
    after: ReleaseFile | None
    diff: tuple[str, ...] | None = None


def changed_files(before: Iterable[ReleaseFile], after: Iterable[ReleaseFile]) -> tuple[FileChange, ...]:
    """Return the files that differ, by path, without their text diffs."""
    old, new = {file.path: file for file in before}, {file.path: file for file in after}
    return tuple(
        FileChange(path, _change(old.get(path), new.get(path)), old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _change(before: ReleaseFile | None, after: ReleaseFile | None) -> Change:
    if before is None:
        return Change.ADDED
    if after is None:
        return Change.REMOVED
    return Change.MODE if before.sha256 == after.sha256 else Change.CHANGED


def wants_text(change: FileChange) -> bool:
    """Return whether the diff needs the texts of both sides."""
    sizes = [side.size for side in (change.before, change.after) if side is not None]
    return change.change is not Change.MODE and max(sizes) <= MAX_TEXT_BYTES


def with_diff(
    change: FileChange, before: Mapping[str, str], after: Mapping[str, str], mask: Mask
) -> FileChange:
    """Return the change with its unified diff, where the texts (by path) have both of its sides."""
    path = change.path
    sides = ((change.before, before), (change.after, after))
    if not wants_text(change) or any(side and path not in texts for side, texts in sides):
        return change
    old, new = before[path] if change.before else "", after[path] if change.after else ""
    if "\0" in old or "\0" in new:
        return change
    shown = [
        f"--- a/{path}" if change.before else "--- /dev/null",
        f"+++ b/{path}" if change.after else "+++ /dev/null",
        *_hunks(old.splitlines(), new.splitlines(), mask),
    ]
    if len(shown) > MAX_LINES:
        shown = [*shown[:MAX_LINES], f"… {len(shown) - MAX_LINES} more lines"]
    return replace(change, diff=tuple(shown))


def _hunks(old: Sequence[str], new: Sequence[str], mask: Mask) -> Iterator[str]:
    """Yield the hunks of a unified diff: compared as they are, shown redacted.

    Each side is redacted as a whole, so that a hunk in the middle of a key hides it too; a difference that is
    hidden altogether still shows as a removed and an added line.
    """
    before, after = mask.lines(old), mask.lines(new)
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(3):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                yield from (f" {line}" for line in before[old_from:old_to])
                continue
            yield from (f"-{line}" for line in before[old_from:old_to])
            yield from (f"+{line}" for line in after[new_from:new_to])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
