"""Reconciliation of the desired state (EC2's objects) with the observed one (containers).

Every changing request, every event of a container and every start of the daemon ends here.
"""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any, Final

from infra.local.ec2 import backend as ec2
from infra.local.errors import DockerFailedError, LocalCloudError
from infra.local.instances.instance import Boot, Container, Network
from infra.local.network.firewall import filter_v4, filter_v6

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.ec2.state import CloudState
    from infra.local.instances.instance import Machine

# The exit code of a container whose systemd requested a reboot: the kernel ends PID 1 with SIGHUP.
REBOOT_EXIT_CODE: Final = 129
FORGET_AFTER_SECONDS: Final = 3600.0


class Step(enum.Enum):
    """The action that an instance needs."""

    NOTHING = enum.auto()
    CREATE = enum.auto()
    START = enum.auto()
    STOP = enum.auto()
    RESTART = enum.auto()
    REMOVE = enum.auto()
    REFRESH = enum.auto()
    HALTED = enum.auto()
    """The guest shut itself down."""
    LOST = enum.auto()
    """The container was removed from outside."""


def decide(
    wanted: str | None,
    seen: Container | None,
    settled: str | None,
    *,
    reboot: bool = False,
    power_back: bool = False,
) -> Step:
    """Return the step for one instance.

    `wanted` is EC2's state of the instance (None: unknown to EC2), `settled` the last state its container was seen
    to reach (None: never booted), `reboot` whether a reboot was requested, `power_back` whether the daemon has
    just started: what should run and does not is then started, as after a power cut.
    """
    if wanted is None or wanted == "terminated":
        return Step.REMOVE if seen else Step.NOTHING
    if seen is None:
        if settled is not None:
            return Step.LOST
        return Step.CREATE if wanted == "running" else Step.NOTHING
    if wanted == "stopped":
        return Step.STOP if seen.running else Step.NOTHING
    if seen.running:
        return Step.RESTART if reboot else Step.REFRESH
    if settled == "running" and not power_back and seen.exit_code != REBOOT_EXIT_CODE:
        return Step.HALTED
    return Step.START


class Reconciler:
    """Reconciles containers with the state of EC2's objects, and EC2's objects with observed changes of containers."""

    def __init__(
        self, state: CloudState, machine: Machine, save: Callable[[], None], log: Callable[[str], None]
    ) -> None:
        self._state = state
        self._machine = machine
        self._save = save
        self._log = log
        # Container start and network that are known to be active, by instance id.
        self._active: dict[str, tuple[str, Network]] = {}

    def run(self, *, power_back: bool = False) -> None:
        """Reconcile all instances. Continue after a failure; raise the first one at the end."""
        backend, seen = self._state.backend, self._machine.survey()
        instances = {instance.id: instance for instance in backend.all_instances()}
        changed, failures = False, []
        for instance_id in [*instances, *(stray for stray in seen if stray not in instances)]:
            instance, container = instances.get(instance_id), seen.get(instance_id)
            step = decide(
                instance.state if instance else None,
                container,
                self._state.settled.get(instance_id),
                reboot=instance_id in backend.rebooting,
                power_back=power_back,
            )
            try:
                changed |= self._take(step, instance_id, instance, container)
            except LocalCloudError as error:
                failures.append(error)
                self._log(f"{instance_id}: {step.name.lower()} failed: {error}")
                changed |= self._give_up(step, instance)
        changed |= self._settle(instances)
        if changed:
            self._save()
        if failures:
            raise failures[0]

    def console(self, instance_id: str) -> str:
        """Return the instance's latest boot log."""
        return self._machine.console(instance_id)

    def _take(self, step: Step, instance_id: str, instance: Any, container: Container | None) -> bool:
        """Take the step; return whether the state changed."""
        if step in (Step.CREATE, Step.START):
            act = self._machine.create if step is Step.CREATE else self._machine.start
            network = self._network(instance)
            act(self._boot(instance), network)
            self._note(instance_id, "running", network)
        elif step is Step.STOP:
            self._machine.stop(instance_id)
            self._note(instance_id, "stopped")
        elif step is Step.RESTART:
            self._machine.restart(instance_id)
            self._state.backend.rebooting.discard(instance_id)
            self._note(instance_id, "running")
        elif step is Step.REMOVE:
            self._machine.remove(instance_id)
            self._state.settled.pop(instance_id, None)
            self._active.pop(instance_id, None)
        elif step is Step.REFRESH and container is not None:
            return self._refresh(instance, container)
        elif step in (Step.HALTED, Step.LOST):
            self._accept(step, instance)
        return step not in (Step.NOTHING, Step.REFRESH)

    def _note(self, instance_id: str, settled: str, network: Network | None = None) -> None:
        self._state.settled[instance_id] = settled
        self._active.pop(instance_id, None)
        if network is not None:
            self._active[instance_id] = ("", network)

    def _refresh(self, instance: Any, container: Container) -> bool:
        network = self._network(instance)
        known = self._active.get(instance.id)
        # After create and start the files existed before the boot; only the time of the start is unknown.
        if known is None or known[1] != network or known[0] not in ("", container.started):
            self._machine.refresh(instance.id, network)
        self._active[instance.id] = (container.started, network)
        if self._state.settled.get(instance.id) == "running":
            return False
        self._state.settled[instance.id] = "running"
        return True

    def _accept(self, step: Step, instance: Any) -> None:
        terminate = step is Step.LOST or instance.instance_initiated_shutdown_behavior == "terminate"
        if terminate:
            self._machine.remove(instance.id)
            ec2.mark(instance, "terminated", "Client.InstanceInitiatedShutdown", "The instance is gone")
            self._state.settled.pop(instance.id, None)
        else:
            ec2.mark(instance, "stopped", "Client.InstanceInitiatedShutdown", "The instance shut itself down")
            self._state.settled[instance.id] = "stopped"
        self._active.pop(instance.id, None)
        self._log(f"{instance.id}: {step.name.lower()}, now {instance.state}")

    def _give_up(self, step: Step, instance: Any) -> bool:
        """Terminate an instance that cannot boot, as EC2 does; every other failure is retried."""
        if step is not Step.CREATE:
            return False
        ec2.mark(instance, "terminated", "Server.InternalError", "The instance could not boot")
        try:
            self._machine.remove(instance.id)
        except DockerFailedError as error:
            self._log(f"{instance.id}: {error}")
        return True

    def _settle(self, instances: dict[str, Any]) -> bool:
        """Publish the current addresses; release what terminated instances held, and remove them after a while."""
        backend, now, changed = self._state.backend, time.time(), False
        for instance in instances.values():
            if instance.state != "terminated":
                ec2.publish_address(backend, instance)
            elif instance.id not in self._state.ended:
                ec2.release(backend, instance)
                self._state.ended[instance.id] = now
                changed = True
            elif now - self._state.ended[instance.id] > FORGET_AFTER_SECONDS:
                ec2.forget(backend, instance)
                del self._state.ended[instance.id]
                changed = True
        return changed

    def _boot(self, instance: Any) -> Boot:
        backend = self._state.backend
        return Boot(
            instance.id, instance.private_ip, ec2.user_data(instance), ec2.public_keys(backend, instance)
        )

    def _network(self, instance: Any) -> Network:
        backend = self._state.backend
        allowed = ec2.permissions(backend, instance)
        return Network(filter_v4(allowed), filter_v6(), ec2.elastic_addresses(backend, instance))
