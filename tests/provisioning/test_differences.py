"""What differs between two releases, as people read it."""

from __future__ import annotations

import hashlib

import pytest

from provisioning.plan.diff import MAX_LINES, MAX_TEXT_BYTES, Change, changed_files, wants_text, with_diff
from provisioning.redaction import Mask
from provisioning.release.manifest import ReleaseFile


def file(path: str, content: str, mode: int = 0o644) -> ReleaseFile:
    return ReleaseFile(path, mode, hashlib.sha256(content.encode()).hexdigest(), len(content))


def diff_of(before: str | None, after: str | None, mask: Mask | None = None) -> tuple[str, ...] | None:
    old = [] if before is None else [file("a.txt", before)]
    new = [] if after is None else [file("a.txt", after)]
    (change,) = changed_files(old, new)
    texts = [{} if text is None else {"a.txt": text} for text in (before, after)]
    return with_diff(change, texts[0], texts[1], mask or Mask.of(())).diff


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([], [file("a", "1")], Change.ADDED),
        ([file("a", "1")], [], Change.REMOVED),
        ([file("a", "1")], [file("a", "2")], Change.CHANGED),
        ([file("a", "1")], [file("a", "1", 0o755)], Change.MODE),
    ],
)
def test_each_kind_of_difference_has_its_name(
    before: list[ReleaseFile], after: list[ReleaseFile], change: Change
) -> None:
    assert [item.change for item in changed_files(before, after)] == [change]


def test_equal_files_are_no_difference() -> None:
    assert changed_files([file("a", "1"), file("b", "2")], [file("b", "2"), file("a", "1")]) == ()


def test_a_changed_text_is_a_unified_diff() -> None:
    assert diff_of("one\ntwo\nthree\n", "one\n2\nthree\nfour\n") == (
        *("--- a/a.txt", "+++ b/a.txt", "@@ -1,3 +1,4 @@"),
        *(" one", "-two", "+2", " three", "+four"),
    )


def test_an_added_and_a_removed_file_show_their_lines() -> None:
    assert diff_of(None, "x\n") == ("--- /dev/null", "+++ b/a.txt", "@@ -0,0 +1 @@", "+x")
    assert diff_of("x\n", None) == ("--- a/a.txt", "+++ /dev/null", "@@ -1 +0,0 @@", "-x")


def test_a_changed_secret_shows_that_it_changed_and_not_from_what_to_what() -> None:
    assert diff_of("API_KEY=old\n", "API_KEY=new\n") == (
        *("--- a/a.txt", "+++ b/a.txt", "@@ -1 +1 @@"),
        *("-API_KEY=***", "+API_KEY=***"),
    )


def test_a_hunk_in_the_middle_of_a_private_key_shows_none_of_it() -> None:
    body = [f"{number:03d}AAAA" for number in range(20)]
    key = ["-----BEGIN RSA PRIVATE KEY-----", *body, "-----END RSA PRIVATE KEY-----"]
    other = [*key[:10], "CHANGED", *key[11:]]

    shown = diff_of("\n".join(key), "\n".join(other)) or ()

    assert "+***" in shown
    assert not any("AAAA" in line or "CHANGED" in line for line in shown)


def test_binary_content_is_told_by_size_and_hash_alone() -> None:
    assert diff_of("a\0b", "a\0c") is None


def test_a_large_file_is_not_asked_for_as_text() -> None:
    (change,) = changed_files([], [ReleaseFile("big", 0o644, "0" * 64, MAX_TEXT_BYTES + 1)])

    assert not wants_text(change)


def test_a_long_diff_is_cut_and_says_so() -> None:
    shown = diff_of(None, "x\n" * 1000) or ()

    assert len(shown) == MAX_LINES + 1
    assert shown[-1] == "… 603 more lines"
