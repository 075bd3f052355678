"""Import paramiko without the task runner that it imports for `Match exec` lines of ssh_config files.

Those files are not read here, the task runner takes 40 % of the time of the import, and paramiko does without
it where it is not installed.
"""

from __future__ import annotations

import sys

_absent = sys.modules.setdefault("invoke", None) is None  # type: ignore[arg-type]
import paramiko as paramiko  # noqa: E402

if _absent:
    del sys.modules["invoke"]
