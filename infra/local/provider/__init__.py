"""An emulator of pulumi-resource-aws: the types that the program uses, on a local cloud.

The engine finds it as `$PULUMI_HOME/plugins/resource-aws-v7.51.2-rehearsal.1/pulumi-resource-aws`: a real directory
with a link to the script of that name here. A resource or an invoke gets it by the option
`version="7.51.2-rehearsal.1"`; without the option the engine looks for the vendor's plugin. The script runs the
interpreter that ONEBOX_PYTHON names, or `python3` on PATH.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "7.51.2-rehearsal.1"
"""A version of its own, a little above the SDK's, so that the engine takes it for no older plugin than it knows."""
