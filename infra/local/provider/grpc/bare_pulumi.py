"""Import Pulumi's gRPC stubs without the rest of the SDK.

Importing the SDK takes half of a provider's start, and a provider starts with every engine run.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Final

_PACKAGES: Final = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def install() -> None:
    """Install empty packages under the SDK's names, whose submodules are the SDK's own.

    Does nothing where the SDK is already imported, or is not installed (its import then fails).
    """
    if "pulumi" in sys.modules:
        return
    path: list[str] | None = None
    for name in _PACKAGES:
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.submodule_search_locations is None:
            return
        path = list(spec.submodule_search_locations)
        package = ModuleType(name)
        package.__path__ = path
        package.__spec__ = spec
        sys.modules[name] = package
