"""Pure: text that can be shown, with what must not be seen replaced by `***`."""

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
    """Hides known secret values wherever they stand, and the values of names that look secret."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """A mask for these secret values; each line of a longer one is hidden by itself too."""
        parts = {part for value in secrets for part in (value, *value.splitlines()) if part.strip()}
        return cls(tuple(sorted(parts, key=len, reverse=True)))

    def value(self, name: str, value: str) -> str:
        """The value of a setting as it can be shown."""
        return MASK if looks_secret(name) else self.text(value)

    def known(self, line: str) -> str:
        """One line without the known values, and otherwise as it is."""
        for value in self.values:
            # A short value stands in many words; only where it stands alone does it tell anything.
            pattern = re.escape(value) if len(value) > 3 else rf"(?<!\w){re.escape(value)}(?!\w)"
            line = re.sub(pattern, MASK, line)
        return line

    def text(self, line: str) -> str:
        """One line of text as it can be shown."""
        line = self.known(line)
        whole = _ASSIGNMENT.match(line)
        if whole and looks_secret(whole["name"]) and not _PLAIN_REFERENCE.fullmatch(whole["value"]):
            quote = whole["quote"]
            line = f"{whole['lead']}{quote}{whole['name']}{quote}{whole['sign']}{MASK}"
        else:
            line = _INLINE.sub(_inline, line)
        return _IN_URL.sub(rf"\g<lead>{MASK}", line)

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """The lines of a whole text as they can be shown; private keys and blocks of YAML are hidden whole."""
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
    """Whether a value under this name is better not shown."""
    return bool(_SECRET_NAME.search(name))


def _inline(match: re.Match[str]) -> str:
    if not looks_secret(match["name"]) or _PLAIN_REFERENCE.fullmatch(match["value"]):
        return match[0]
    return f"{match['quote']}{match['name']}{match['quote']}{match['sign']}{MASK}"
