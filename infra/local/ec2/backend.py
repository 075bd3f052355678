"""moto's EC2 backend with the facts of this cloud: its one image, its one subnet, its own addresses."""

from __future__ import annotations

import base64
import ipaddress
import json
from pathlib import Path
from typing import Any, Final

from moto.core.parse import default_timestamp_parser
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.instances import StateReason

from infra.local.errors import LocalCloudError
from infra.local.network.addresses import next_free
from infra.local.network.firewall import Permission
from infra.local.settings import REGION, halves

ACCOUNT: Final = "123456789012"
AMI_FILE: Final = Path(__file__).with_name("ami.json")
_DEVICE_INDEX: Final = 0
_RESERVED_ADDRESSES: Final = 4


class CloudBackend(EC2Backend):
    """EC2 of one region. The default VPC is the cloud's Docker network, its subnet the lower half of it."""

    def __init__(self, subnet: ipaddress.IPv4Network) -> None:
        self.cloud_subnet = subnet
        self.rebooting: set[str] = set()
        super().__init__(REGION, ACCOUNT)

    def _load_amis(self) -> None:
        for entry in json.loads(AMI_FILE.read_text()):
            facts = {**entry, "creation_date": default_timestamp_parser(entry["creation_date"])}
            self.amis[facts["ami_id"]] = Ami(self, **facts, owner_alias="amazon")

    def create_default_vpc(self) -> Any:
        """Create the default VPC, with one subnet in the region's first zone."""
        lower, _ = halves(self.cloud_subnet)
        vpc = self.create_vpc(str(self.cloud_subnet), is_default=True)
        self.create_subnet(vpc.id, str(lower), availability_zone=f"{REGION}a")
        return vpc

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Any:
        """Return a reservation whose instances have addresses of this cloud. Raises EC2's errors for unknown ids."""
        if image_id not in self.amis:
            raise InvalidAMIIdError([image_id or ""])
        if kwargs.get("key_name"):
            self.describe_key_pairs(key_names=[kwargs["key_name"]])
        default = self.get_default_subnets()[f"{REGION}a"]
        if not kwargs.get("subnet_id") and not kwargs.get("nics"):
            kwargs["subnet_id"] = default.id
        wanted = {kwargs.get("subnet_id"), *(nic.get("SubnetId") for nic in kwargs.get("nics") or ())} - {
            None
        }
        if wanted - {default.id}:
            raise EC2ClientError(
                "InvalidSubnetID.NotFound",
                f"This local cloud runs instances in its default subnet {default.id} only, not in {', '.join(wanted)}",
            )
        if default.available_ip_address_count < count:
            raise EC2ClientError(
                "InsufficientFreeAddressesInSubnet", f"Not enough free addresses in {default.id}"
            )
        # moto keeps EC2's reserved addresses in an iterator, which starts again with the daemon.
        reserved = {default.cidr[number] for number in range(_RESERVED_ADDRESSES)}
        default._reserved_ips |= reserved
        default._unused_ips -= {str(address) for address in reserved}
        reservation = super().run_instances(image_id, count, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            _settle_interface(instance)
        return reservation

    def reboot_instances(self, instance_ids: list[str]) -> Any:
        """Mark instances that the next reconciliation restarts."""
        instances = super().reboot_instances(instance_ids)
        self.rebooting |= {instance.id for instance in instances}
        return instances

    def allocate_address(
        self, domain: str, address: str | None = None, tags: dict[str, str] | None = None
    ) -> Any:
        """Allocate an elastic address from the upper half of the network."""
        _, upper = halves(self.cloud_subnet)
        taken = {str(held.public_ip) for held in self.addresses}
        chosen = next_free(upper, taken, wish=address)
        if chosen is None:
            if address:
                raise EC2ClientError(
                    "InvalidAddress.NotFound", f"Address '{address}' is not free in {upper}."
                )
            raise EC2ClientError("AddressLimitExceeded", f"All addresses of {upper} are allocated.")
        return super().allocate_address(domain, chosen, tags)

    def associate_address(
        self,
        instance: Any = None,
        eni: Any = None,
        address: str | None = None,
        allocation_id: str | None = None,
        reassociate: bool = False,
    ) -> Any:
        """Associate the address with its new holder; an address that the holder had before is released."""
        holder = instance or (eni.instance if eni else None)
        if holder is None:
            raise EC2ClientError("InvalidNetworkInterfaceID.NotFound", "The interface belongs to no instance")
        eip = super().associate_address(holder, None, address, allocation_id, reassociate)
        for other in self.addresses:
            if other is not eip and other.instance is holder:
                other.instance, other.eni, other.association_id = None, None, None
        return eip

    def modify_network_interface_attribute(
        self, eni_id: str, group_ids: list[str], *args: Any, **kwargs: Any
    ) -> None:
        """Set the groups of an instance's interface: they are the instance's groups."""
        super().modify_network_interface_attribute(eni_id, group_ids, *args, **kwargs)
        eni = self.get_network_interface(eni_id)
        if eni.instance and group_ids:
            eni.instance.security_groups = list(eni._group_set)
            eni._group_set = []


def _settle_interface(instance: Any) -> None:
    # moto keeps groups in two places and would invent a public address; here the instance's groups are the
    # truth, and the public address is published by the reconciliation.
    nic = instance.nics[_DEVICE_INDEX]
    instance.security_groups = sorted(nic.group_set, key=lambda group: group.id)
    nic._group_set = []
    nic.public_ip_auto_assign = False
    nic.public_ip = None


def install(backend: CloudBackend) -> None:
    """Make moto answer the region's EC2 requests from this backend."""
    ec2_backends[ACCOUNT][REGION] = backend


def user_data(instance: Any) -> bytes:
    """Return the instance's user-data as the guest sees it."""
    return base64.b64decode(str(instance.user_data)) if instance.user_data else b""


def public_keys(backend: CloudBackend, instance: Any) -> tuple[tuple[str, str], ...]:
    """Return (name, OpenSSH line) of the key pair the instance was launched with."""
    pair = backend.key_pairs.get(instance.key_name) if instance.key_name else None
    return ((pair.key_name, pair.public_key.strip()),) if pair else ()


def elastic_addresses(backend: CloudBackend, instance: Any) -> tuple[str, ...]:
    """Return the elastic addresses associated with the instance."""
    return tuple(sorted(eip.public_ip for eip in backend.addresses if eip.instance is instance))


def permissions(backend: CloudBackend, instance: Any) -> list[Permission]:
    """Return what the instance's security groups permit; a group as source means its members' private addresses."""
    members: dict[str, list[str]] = {}
    for other in backend.all_instances():
        if other.state != "terminated":
            for group in other.security_groups:
                members.setdefault(group.id, []).append(f"{other.private_ip}/32")
    found = []
    for group in instance.security_groups:
        for rule in group.ingress_rules:
            sources = (
                [rule.cidr_ipv4] if rule.cidr_ipv4 else members.get(rule.source_group.get("GroupId", ""), [])
            )
            ports = (
                -1 if rule.from_port is None else rule.from_port,
                -1 if rule.to_port is None else rule.to_port,
            )
            found += [Permission(rule.ip_protocol, *ports, _network(source)) for source in sources]
    return found


def _network(source: str) -> str:
    return str(ipaddress.IPv4Network(source, strict=False))


def publish_address(backend: CloudBackend, instance: Any) -> None:
    """Let the instance report its public address: its elastic one, else its own while it runs."""
    elastic = elastic_addresses(backend, instance)
    nic = instance.nics[_DEVICE_INDEX]
    own = instance.private_ip if instance.state == "running" else None
    nic.public_ip = elastic[0] if elastic else own


def mark(instance: Any, state: str, code: str, message: str) -> None:
    """Set the instance's state (stopped or terminated) with EC2's code and message of the reason."""
    numbers = {"stopped": 80, "terminated": 48, "running": 16}
    if state not in numbers:
        raise LocalCloudError(f"'{state}' is no state of an instance.")
    instance._state.name, instance._state.code = state, numbers[state]
    instance._reason = message
    instance.state_reason = StateReason(f"{code}: {message}", code)


def release(backend: CloudBackend, instance: Any) -> None:
    """Give back what a terminated instance held: its elastic addresses and its private one."""
    instance.nics[_DEVICE_INDEX].public_ip = None
    for eip in backend.addresses:
        if eip.instance is instance:
            eip.instance, eip.eni, eip.association_id = None, None, None
    for subnet in backend.describe_subnets():
        for address in list(instance._private_ips):
            subnet.del_subnet_ip(address)
    instance._private_ips.clear()


def forget(backend: CloudBackend, instance: Any) -> None:
    """Remove a terminated instance from all answers, as EC2 does after about an hour."""
    for nic in list(instance.nics.values()):
        backend.enis.pop(nic.id, None)
    for reservation_id, reservation in list(backend.reservations.items()):
        reservation.instances = [other for other in reservation.instances if other is not instance]
        if not reservation.instances:
            del backend.reservations[reservation_id]
