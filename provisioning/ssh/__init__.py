"""The SSH connection: pinned host keys, and a deadline for every command. The only package that imports paramiko.

paramiko alone never detects a dead peer, and hangs when one of a command's two streams fills up. So every wait
here has a deadline, both streams are drained together, and a probe checks that the host responds.
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
