"""Pure: redact text: replace secret values by `***`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MASK = "***"
_WORDS = (
    r"password|passwd|passphrase|pwd|secret|token|credentials?|api[-_.]?key|access[-_.]?key|private[-_.]?key"
)
_WORDS += r"|signing[-_.]?key|encryption[-_.]?key|auth|bearer|dsn|salt"
_SECRET_NAME = re.compile(rf"(^|[-_.\s]|(?<=[a-z0-9])(?=[A-Z]))({_WORDS})s?($|[-_.\s\d])", re.IGNORECASE)
# `NAME=value`, `name: value`, `"name": "value"`, `export NAME=value`, `- NAME=value`.
_ASSIGNMENT = re.compile(
    r"^(?P<lead>\s*(?:-\s+)?(?:export\s+|ENV\s+|ARG\s+)?)(?P<quote>[\"']?)(?P<name>[A-Za-z_][\w.-]*)(?P=quote)"
    r"(?P<sign>\s*[:=]\s*)(?P<value>\S.*)$"
)
_INLINE = re.compile(
    r"(?P<quote>[\"']?)(?P<name>[A-Za-z_][\w.-]*)(?P=quote)(?P<sign>\s*[:=]\s*)(?P<value>\"[^\"]*\"|'[^']*'|\$\{[^}]*\}|[^\s,;&{}()]+)"
)
_IN_URL = re.compile(r"(?P<lead>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)", re.IGNORECASE)
_KEY_BEGINS, _KEY_ENDS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"-----END [A-Z ]*KEY-----"),
)
_BLOCK = re.compile(
    r"\s*(?:-\s+)?[\"']?(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*:\s*([|>][-+\d]*\s*|\{\s*|\[\s*)?(#.*)?$"
)
_PLAIN_REFERENCE = re.compile(r"\"?\$\{?[A-Za-z_]\w*\}?\"?")


@dataclass(frozen=True)
class Mask:
    """Redacts known secret values wherever they occur, and the values of names that look secret."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """Return a mask for these secret values; each line of a value with several lines is redacted too."""
        parts = {part for value in secrets for part in (value, *value.splitlines()) if part.strip()}
        return cls(tuple(sorted(parts, key=len, reverse=True)))

    def value(self, name: str, value: str) -> str:
        """Return the redacted value of a setting."""
        return MASK if looks_secret(name) else self.text(value)

    def known(self, line: str) -> str:
        """Return a line in which only known secret values are redacted."""
        for value in self.values:
            # A short value is part of many words, so it is redacted only as a word of its own.
            pattern = re.escape(value) if len(value) > 3 else rf"(?<!\w){re.escape(value)}(?!\w)"
            line = re.sub(pattern, MASK, line)
        return line

    def text(self, line: str) -> str:
        """Return a redacted line of text."""
        line = self.known(line)
        whole = _ASSIGNMENT.match(line)
        if whole and looks_secret(whole["name"]) and not _PLAIN_REFERENCE.fullmatch(whole["value"]):
            quote = whole["quote"]
            line = f"{whole['lead']}{quote}{whole['name']}{quote}{whole['sign']}{MASK}"
        else:
            line = _INLINE.sub(_inline, line)
        return _IN_URL.sub(rf"\g<lead>{MASK}", line)

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Return the redacted lines of a whole text; private keys and secret YAML blocks are redacted as a whole."""
        shown: list[str] = []
        key, block = False, -1
        for line in lines:
            indent = len(line) - len(line.lstrip())
            block = block if not line.strip() or indent > block else -1
            key = key and not _KEY_ENDS.search(line)
            shown.append(MASK if key or (block >= 0 and line.strip()) else self.text(line))
            key = key or bool(_KEY_BEGINS.search(line))
            opened = _BLOCK.match(line)
            if block < 0 and opened and looks_secret(opened["name"]):
                block = indent
        return tuple(shown)


def looks_secret(name: str) -> bool:
    """Return whether a value of this name has to be redacted."""
    return bool(_SECRET_NAME.search(name))


def _inline(match: re.Match[str]) -> str:
    if not looks_secret(match["name"]) or _PLAIN_REFERENCE.fullmatch(match["value"]):
        return match[0]
    return f"{match['quote']}{match['name']}{match['quote']}{match['sign']}{MASK}"
