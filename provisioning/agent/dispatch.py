"""Map each request to its handler."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, Callable

from provisioning.agent.codec import encode, from_json
from provisioning.agent.protocol import Exit, Refused, Request

HANDLERS: dict[str, str] = {
    "ReadFacts": "observe.facts",
    "ReadFiles": "observe.read_files",
    "ReadReadiness": "observe.readiness",
    "ReadReleases": "observe.releases",
    "ReadSecretValues": "observe.secret_values",
    "ReadUsage": "observe.usage",
    "Begin": "store.begin",
    "ReceiveFile": "store.receive",
    "Publish": "store.publish",
    "SwitchLiveData": "store.live_data",
    "ConfirmLiveData": "store.live_data",
    "WriteSecrets": "store.secret_files",
    "Finish": "store.finish",
    "AppendAudit": "store.audit",
    "ReadAudit": "store.audit",
    "HoldLock": "lock.hold",
    "ReadLock": "lock.holder",
    "BreakLock": "lock.holder",
    "RunStep": "command.step",
    "RunAttached": "command.attached",
    "CreateHostKey": "host_key.create",
    "SwitchHostKey": "host_key.switch",
    "ScrubInjectedHostKey": "host_key.scrub",
}
"""Name of a request -> module with its `handle`. The request is declared in `messages` of the same package.

Modules are imported at the first request that needs them: an archive is not compiled before.
"""


def load(name: str) -> tuple[type[Request[Any]], Callable[[Any], object]]:
    """Return the dataclass of a request and the function that handles it."""
    module = f"{__package__}.{HANDLERS[name]}"
    messages = importlib.import_module(f"{module.rpartition('.')[0]}.messages")
    return getattr(messages, name), importlib.import_module(module).handle


def respond(request: dict[str, Any]) -> int:
    """Handle a request in this process: print its answer, or why it is refused; return the exit code."""
    try:
        kind, handle = load(request["name"])
        answer = handle(from_json(kind, request["fields"]))
    except Refused as error:
        print(error, file=sys.stderr)
        return error.code
    except Exception:  # noqa: BLE001 - the client gets the traceback, as from a program of its own
        traceback.print_exc()
        return Exit.FAILED
    if isinstance(answer, int):
        return answer
    if answer is not None:
        print(encode(answer))
    return Exit.OK
