"""Pure: parse docker-compose.yml, and refuse what two YAML parsers could read differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from provisioning.errors import ReleaseError

Section = Mapping[str, Any]
"""A mapping of the file as YAML gives it, before it is checked."""
MAX_BYTES: Final = 256 * 1024
MAX_NODES: Final = 20_000
_FILE: Final = "docker-compose.yml"
# Scalars that YAML 1.1 and 1.2 read differently: booleans, octal and base-60 numbers.
_AMBIGUOUS: Final = re.compile(r"(?i:yes|no|on|off)|[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+")


def read_compose_yaml(text: str) -> Section:
    """Return the document as a mapping, anchors resolved.

    Raises ReleaseError with the line for what is not YAML, a duplicate key, a scalar whose
    meaning depends on the reader (`no`, `010`, `22:22` without quotes), and a file that is larger
    than MAX_BYTES or grows beyond MAX_NODES values once its anchors are resolved.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ReleaseError(f"{_FILE} is larger than {MAX_BYTES // 1024} KiB")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise ReleaseError(f"{_FILE} is not a mapping", hint="It starts with `services:`.")
        # Counted before anything is resolved: nine levels of ten aliases each are a thousand million values.
        _check(root, {}, ())
        document: Section = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise ReleaseError(f"{_FILE} is not valid YAML{_where(error)}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ReleaseError(f"{_FILE} is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    return document


def _check(node: yaml.Node, known: dict[int, int], inside: tuple[int, ...]) -> int:
    """Return how many values the node expands to; an alias is its node again, counted once and added each time."""
    if id(node) in inside:
        raise ReleaseError(f"{_FILE} has an anchor that contains itself (line {_line(node)})")
    if id(node) not in known:
        known[id(node)] = _size(node, known, (*inside, id(node)))
    if known[id(node)] > MAX_NODES:
        raise ReleaseError(f"the anchors of {_FILE} multiply to more than {MAX_NODES} values")
    return known[id(node)]


def _size(node: yaml.Node, known: dict[int, int], inside: tuple[int, ...]) -> int:
    if isinstance(node, yaml.MappingNode):
        _refuse_twice(node)
        return 1 + sum(_check(key, known, inside) + _check(value, known, inside) for key, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return 1 + sum(_check(item, known, inside) for item in node.value)
    if isinstance(node, yaml.ScalarNode) and node.style is None and _AMBIGUOUS.fullmatch(node.value):
        raise ReleaseError(
            f"{_FILE} line {_line(node)}: {node.value} without quotes is read differently by different YAML parsers",
            hint=f'Write "{node.value}", or true or false, or the number as you mean it.',
        )
    return 1


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            continue
        if key.value in seen:
            raise ReleaseError(
                f"{_FILE} has {key.value} twice, on lines {seen[key.value]} and {_line(key)}",
                hint="YAML parsers keep one of the two; remove the other.",
            )
        seen[key.value] = _line(key)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _where(error: yaml.MarkedYAMLError) -> str:
    return "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
