"""The stack: settings, network, host, release, outputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.program import deploy

deploy()
