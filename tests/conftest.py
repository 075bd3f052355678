"""What holds for every test: generated examples are the same in every run of a pipeline."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("onebox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("onebox")
