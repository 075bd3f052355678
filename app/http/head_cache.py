"""Heads that came before, by their bytes: clients send the same one again and again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.http.limits import MAX_HEADS, MAX_LEARNT, UNLEARNT

if TYPE_CHECKING:
    from app.http.messages import Head


def learn(heads: dict[bytes, Head], chunk: bytes, head: Head, length: int) -> None:
    """Remember a head that came with its whole body, of this length, and nothing else, and may come again."""
    start = len(chunk) - length
    headers = head.headers
    if (
        not 0 < start <= MAX_LEARNT
        or chunk.find(b"\r\n\r\n") + 4 != start
        or headers.get(b"content-length") != b"%d" % length
        or not UNLEARNT.isdisjoint(headers)
    ):
        return
    if len(heads) >= MAX_HEADS:
        heads.clear()
    head.length = length
    heads[chunk[:start]] = head
