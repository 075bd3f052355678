"""Imports paramiko before anybody else does, without the half of it that is never used here.

It imports a task runner for the `Match exec` lines of ssh_config files, which are not read here. That takes
longer than the rest of paramiko, and paramiko does without it where it is not installed.
"""

from __future__ import annotations

import sys

_NAME = "invoke"

if _NAME in sys.modules:
    import paramiko as paramiko
else:
    # None stands for: cannot be imported.
    sys.modules[_NAME] = None  # type: ignore[assignment]
    try:
        import paramiko as paramiko
    finally:
        del sys.modules[_NAME]
