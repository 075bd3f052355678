"""The stack: settings, network, host, release, outputs."""

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Imports create many objects and hardly any garbage; collecting it takes a third of the program's start.
gc.disable()
from infra.program import deploy  # noqa: E402

gc.freeze()
gc.enable()

deploy()
