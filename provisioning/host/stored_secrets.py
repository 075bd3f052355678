"""A mask for what services say: it hides the secrets of this stack, and those of every release the host keeps."""

from __future__ import annotations

from provisioning.agent.observe.messages import ReadSecretValues
from provisioning.config.secrets import ServiceSecrets
from provisioning.deadline import Deadline
from provisioning.host.store import Store
from provisioning.redaction import Mask


def mask_on(store: Store, secrets: ServiceSecrets, deadline: Deadline) -> Mask:
    """The mask for one host.

    A release that was gone back to runs with values that the stack's config no longer has, so those that are
    kept on the host count as well. Raises CommandFailed when they are there and cannot be read.
    """
    stored = store.call(ReadSecretValues(store.root), deadline).values
    return Mask.of({*secrets.values.values(), *stored})
