"""Import paramiko without `invoke`, the task runner that it imports for `Match exec` lines of ssh_config files.

These files are not read here, `invoke` takes 40 % of the time of the import, and paramiko works without it.
"""

from __future__ import annotations

import sys

_absent = sys.modules.setdefault("invoke", None) is None  # type: ignore[arg-type]
import paramiko as paramiko  # noqa: E402

if _absent:
    del sys.modules["invoke"]
