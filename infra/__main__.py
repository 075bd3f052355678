"""The stack: settings, network, host, release, outputs."""

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Loading modules makes many objects and hardly any garbage: to look for it takes a third of the time.
gc.disable()
from infra.program import deploy  # noqa: E402

gc.freeze()
gc.enable()

deploy()
