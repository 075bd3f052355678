"""The only use of paramiko: a connection that trusts pinned keys, and commands that always end.

paramiko alone never notices a dead peer and hangs when one of a command's two streams fills up, so
every wait here has a deadline of ours, both streams are drained together, and a probe runs beside.
"""

from __future__ import annotations

import logging

from provisioning.ssh import _paramiko as _paramiko
from provisioning.ssh.connect import connect
from provisioning.ssh.connection import Connection
from provisioning.ssh.timeouts import Timeouts

__all__ = ["Connection", "Timeouts", "connect"]

# Each failed connection would otherwise print paramiko's own traceback; ours are typed errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
