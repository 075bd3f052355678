"""Build hook of the wheel: `provisioning/` becomes `onebox`, the components in `infra/` become `onebox.infra`.

See docs/adr/0028-wheel.md.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "onebox"
_SOURCES = ("provisioning", "infra", "app", "ui", "tests", "benchmarks")
_NAMES = {"provisioning": PACKAGE, "infra": f"{PACKAGE}.infra"}
# A dotted name, in an import, in a string or in a pattern; and the package itself in an import.
_NAME = re.compile(r"\b(provisioning|infra)(?=\\?\.[a-z_])|(?<=from )(provisioning|infra)(?= import )")


def renamed(text: str) -> str:
    """Return a module's text in which the names of the checkout's modules are those of the wheel."""
    return _NAME.sub(lambda found: _NAMES[found[0]], text)


def checkout_imports(text: str) -> list[str]:
    """Return the imports in a module's text that exist in a checkout only, in the order of the syntax tree."""
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name for name in names if name.partition(".")[0] in _SOURCES]


def sources(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each module of the wheel: its path in the checkout, and its path in the wheel."""
    for path in sorted((root / "provisioning").rglob("*.py")):
        yield path, Path(PACKAGE) / path.relative_to(root / "provisioning")
    for path in sorted((root / "infra").glob("*.py")):
        # The engine starts infra/__main__.py in a checkout; a program of one's own imports the components.
        if path.name != "__main__.py":
            yield path, Path(PACKAGE, "infra", path.name)


class WheelHook(BuildHookInterface[Any]):
    """Write the renamed modules to a temporary folder, from which hatchling takes them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add every module to the wheel. Raises ValueError where one imports what the wheel does not have."""
        if version == "editable":
            raise ValueError("a checkout runs as it is: tools/venv.sh puts it on the path")
        # It lives as long as this object: hatchling reads the files after this method has returned.
        self._folder = tempfile.TemporaryDirectory(prefix="onebox-wheel-")
        folder = Path(self._folder.name)
        for source, target in sources(Path(self.root)):
            text = renamed(source.read_text(encoding="utf-8"))
            if left := checkout_imports(text):
                raise ValueError(f"{source}: the wheel has no {', '.join(left)}")
            written = folder / target
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(text, encoding="utf-8")
        (folder / PACKAGE / "py.typed").touch()
        build_data["force_include"][str(folder / PACKAGE)] = PACKAGE
