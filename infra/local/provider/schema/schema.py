"""The schema of a type: its properties, their kinds, and what a change of each one means. Pure data.

Names and rules of the types are those of pulumi-aws 7.51.1, for the part of it that the rehearsal has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scalar: TypeAlias = str | int | bool


class Kind(Enum):
    """What a property holds; the value is how a refusal names it."""

    STRING = "a string"
    INTEGER = "a whole number"
    BOOLEAN = "true or false"
    STRINGS = "a list of strings"
    STRING_SET = "a set of strings"
    TAGS = "a map of strings"
    OBJECT = "an object"
    OBJECTS = "a list of objects"


@dataclass(frozen=True)
class Property:
    """One input property.

    `replaces`: a change makes a new resource. `replaces_if`: so it does where the input of this name is true.
    `computed`: absent means "as the cloud has it", so removing it from the program changes nothing. `conflicts`:
    names that must not be given beside it.
    """

    kind: Kind = Kind.STRING
    required: bool = False
    default: Scalar | None = None
    choices: tuple[Scalar, ...] = ()
    replaces: bool = False
    replaces_if: str = ""
    computed: bool = False
    conflicts: tuple[str, ...] = ()
    fields: Mapping[str, Property] = field(default_factory=dict)


@dataclass(frozen=True)
class AutoName:
    """The property that gets the resource's name and a random ending where the program gives none."""

    property: str
    unless: str


@dataclass(frozen=True)
class ResourceType:
    """One resource type; `outputs` are the names that only the cloud can fill in."""

    token: str
    inputs: Mapping[str, Property]
    outputs: tuple[str, ...]
    auto_name: AutoName | None = None
    exactly_one_of: tuple[str, ...] = ()
    recomputed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Input -> outputs that an update of it can change."""

    @property
    def stable(self) -> tuple[str, ...]:
        """Return the outputs that no update changes."""
        moving = {name for names in self.recomputed.values() for name in names} | {"tagsAll"}
        return tuple(name for name in self.outputs if name not in moving)

    def computed_names(self) -> Iterator[str]:
        """Return every property that only creation makes known: the outputs, and inputs left to the cloud."""
        yield from self.outputs
        yield from (name for name, prop in self.inputs.items() if prop.computed)


@dataclass(frozen=True)
class Function:
    """One invoke: its arguments."""

    token: str
    inputs: Mapping[str, Property]


TAGS: Final = Property(Kind.TAGS)
