"""The mask for output of services: it redacts the secrets of this stack and of every retained release."""

from __future__ import annotations

from provisioning.agent.observe.messages import ReadSecretValues
from provisioning.config.secrets import ServiceSecrets
from provisioning.deadline import Deadline
from provisioning.host.store import Store
from provisioning.redaction import Mask


def mask_on(store: Store, secrets: ServiceSecrets, deadline: Deadline) -> Mask:
    """Return the mask for one host.

    It includes the values stored on the host: after a rollback, services run with values that the stack's
    configuration no longer has. Raises CommandFailed when a stored value cannot be read.
    """
    stored = store.call(ReadSecretValues(store.root), deadline).values
    return Mask.of({*secrets.values.values(), *stored})
