"""What the provider knows of each type: its properties, their kinds, and what a change of each one means.

Pure data. Names and rules are those of pulumi-aws 7.51.1, for the part of it that the rehearsal has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scalar: TypeAlias = str | int | bool


class Kind(Enum):
    """What a property holds; the value is how a refusal names it."""

    STRING = "a string"
    INTEGER = "a whole number"
    BOOLEAN = "true or false"
    STRINGS = "a list of strings"
    STRING_SET = "a set of strings"
    TAGS = "a map of strings"
    OBJECT = "an object"
    OBJECTS = "a list of objects"


@dataclass(frozen=True)
class Property:
    """One input property.

    `replaces`: a change makes a new resource. `computed`: absent means "as the cloud has it", so taking it out
    of the program changes nothing. `conflicts`: names that must not be given beside it.
    """

    kind: Kind = Kind.STRING
    required: bool = False
    default: Scalar | None = None
    choices: tuple[Scalar, ...] = ()
    replaces: bool = False
    computed: bool = False
    conflicts: tuple[str, ...] = ()
    fields: Mapping[str, Property] = field(default_factory=dict)


@dataclass(frozen=True)
class AutoName:
    """The property that gets the resource's name and a random ending where the program gives none."""

    property: str
    unless: str


@dataclass(frozen=True)
class ResourceType:
    """One resource type; `outputs` are the names that only the cloud can fill in."""

    token: str
    inputs: Mapping[str, Property]
    outputs: tuple[str, ...]
    auto_name: AutoName | None = None
    exactly_one_of: tuple[str, ...] = ()
    recomputed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Input -> outputs that its change in place can change."""

    @property
    def stable(self) -> tuple[str, ...]:
        """The outputs that no update changes."""
        moving = {name for names in self.recomputed.values() for name in names} | {"tagsAll"}
        return tuple(name for name in self.outputs if name not in moving)

    def computed_names(self) -> Iterator[str]:
        """Every property that only creation makes known: the outputs, and inputs left to the cloud."""
        yield from self.outputs
        yield from (name for name, prop in self.inputs.items() if prop.computed)


@dataclass(frozen=True)
class Function:
    """One invoke: its arguments."""

    token: str
    inputs: Mapping[str, Property]


TAGS: Final = Property(Kind.TAGS)
_PUBLIC: Final = ("publicIp", "publicDns")
_FILTERS: Final = Property(
    Kind.OBJECTS, fields={"name": Property(required=True), "values": Property(Kind.STRINGS, required=True)}
)

SECURITY_GROUP: Final = ResourceType(
    "aws:ec2/securityGroup:SecurityGroup",
    inputs={
        "name": Property(replaces=True, computed=True, conflicts=("namePrefix",)),
        "namePrefix": Property(replaces=True, computed=True),
        "description": Property(replaces=True, default="Managed by Pulumi"),
        "vpcId": Property(replaces=True, computed=True),
        "tags": TAGS,
    },
    outputs=("arn", "ownerId", "tagsAll"),
    auto_name=AutoName("name", unless="namePrefix"),
)


def _rule(token: str) -> ResourceType:
    return ResourceType(
        token,
        inputs={
            "securityGroupId": Property(required=True, replaces=True),
            "ipProtocol": Property(required=True),
            "fromPort": Property(Kind.INTEGER),
            "toPort": Property(Kind.INTEGER),
            "cidrIpv4": Property(),
            "cidrIpv6": Property(),
            "description": Property(),
            "tags": TAGS,
        },
        outputs=("arn", "securityGroupRuleId", "tagsAll"),
        exactly_one_of=("cidrIpv4", "cidrIpv6"),
    )


INGRESS_RULE: Final = _rule("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
EGRESS_RULE: Final = _rule("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")

KEY_PAIR: Final = ResourceType(
    "aws:ec2/keyPair:KeyPair",
    inputs={
        "publicKey": Property(required=True, replaces=True),
        "keyName": Property(replaces=True, computed=True, conflicts=("keyNamePrefix",)),
        "keyNamePrefix": Property(replaces=True, computed=True),
        "tags": TAGS,
    },
    outputs=("arn", "fingerprint", "keyPairId", "keyType", "tagsAll"),
    auto_name=AutoName("keyName", unless="keyNamePrefix"),
)

INSTANCE: Final = ResourceType(
    "aws:ec2/instance:Instance",
    inputs={
        "ami": Property(required=True, replaces=True),
        "instanceType": Property(required=True),
        "keyName": Property(replaces=True, computed=True),
        "vpcSecurityGroupIds": Property(Kind.STRING_SET, computed=True),
        "subnetId": Property(replaces=True, computed=True),
        "userData": Property(conflicts=("userDataBase64",)),
        "userDataBase64": Property(),
        "userDataReplaceOnChange": Property(Kind.BOOLEAN, default=False),
        "metadataOptions": Property(
            Kind.OBJECT,
            computed=True,
            fields={
                "httpTokens": Property(choices=("optional", "required"), computed=True),
                "httpEndpoint": Property(choices=("enabled", "disabled"), computed=True),
                "httpPutResponseHopLimit": Property(Kind.INTEGER, choices=tuple(range(1, 65)), computed=True),
                "instanceMetadataTags": Property(choices=("enabled", "disabled"), computed=True),
            },
        ),
        "rootBlockDevice": Property(
            Kind.OBJECT,
            computed=True,
            fields={
                "volumeType": Property(
                    choices=("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"), computed=True
                ),
                "volumeSize": Property(Kind.INTEGER, computed=True),
                "encrypted": Property(Kind.BOOLEAN, replaces=True, computed=True),
                "deleteOnTermination": Property(Kind.BOOLEAN, default=True),
                "tags": TAGS,
            },
        ),
        "monitoring": Property(Kind.BOOLEAN, computed=True),
        "tags": TAGS,
        "volumeTags": TAGS,
    },
    outputs=(
        "arn",
        "availabilityZone",
        "instanceState",
        "primaryNetworkInterfaceId",
        "privateDns",
        "privateIp",
        *_PUBLIC,
        "tagsAll",
    ),
    recomputed=dict.fromkeys(("instanceType", "userData", "userDataBase64"), (*_PUBLIC, "instanceState")),
)

EIP: Final = ResourceType(
    "aws:ec2/eip:Eip",
    inputs={
        "domain": Property(replaces=True, default="vpc", choices=("vpc",)),
        "instance": Property(computed=True),
        "tags": TAGS,
    },
    outputs=(
        "allocationId",
        "arn",
        "associationId",
        "networkInterface",
        "privateDns",
        "privateIp",
        *_PUBLIC,
        "tagsAll",
    ),
    recomputed={"instance": ("associationId", "networkInterface", "privateDns", "privateIp")},
)

EIP_ASSOCIATION: Final = ResourceType(
    "aws:ec2/eipAssociation:EipAssociation",
    inputs={
        "allocationId": Property(required=True, replaces=True),
        "instanceId": Property(required=True, replaces=True),
    },
    outputs=("networkInterfaceId", "privateIpAddress", "publicIp"),
)

GET_AMI: Final = Function(
    "aws:ec2/getAmi:getAmi",
    inputs={
        "owners": Property(Kind.STRINGS),
        "filters": _FILTERS,
        "mostRecent": Property(Kind.BOOLEAN),
        "nameRegex": Property(),
        "includeDeprecated": Property(Kind.BOOLEAN),
        "executableUsers": Property(Kind.STRINGS),
    },
)

GET_VPC: Final = Function(
    "aws:ec2/getVpc:getVpc",
    inputs={
        "cidrBlock": Property(),
        "default": Property(Kind.BOOLEAN),
        "dhcpOptionsId": Property(),
        "filters": _FILTERS,
        "id": Property(),
        "state": Property(),
        "tags": TAGS,
    },
)

RESOURCE_TYPES: Final[Mapping[str, ResourceType]] = {
    kind.token: kind
    for kind in (SECURITY_GROUP, INGRESS_RULE, EGRESS_RULE, KEY_PAIR, INSTANCE, EIP, EIP_ASSOCIATION)
}
FUNCTIONS: Final[Mapping[str, Function]] = {function.token: function for function in (GET_AMI, GET_VPC)}
