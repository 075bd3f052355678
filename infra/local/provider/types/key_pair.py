"""Key pairs."""

# Every family has the same methods and arguments, needed or not.
# ruff: noqa: ARG002

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from infra.local.provider.ec2 import tags
from infra.local.provider.schema.schema import TAGS, AutoName, Property, ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.provider.ec2.client import Cloud
    from infra.local.provider.wire import Properties

_NO_KEY: Final = ("InvalidKeyPair.NotFound",)


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


class KeyPair:
    """`aws:ec2/keyPair:KeyPair`; its id is the key's name."""

    kind: Final = KEY_PAIR

    def create(self, cloud: Cloud, inputs: Mapping[str, Any], seconds: float) -> str:
        answer = cloud.call(
            "ImportKeyPair",
            KeyName=inputs.get("keyName") or f"{inputs['keyNamePrefix']}{secrets.token_hex(13)}",
            PublicKeyMaterial=inputs["publicKey"].encode(),
            TagSpecifications=tags.specifications(cloud, "key-pair", inputs.get("tags")),
        )
        return str(answer["KeyName"])

    def read(self, cloud: Cloud, id_: str, known: Mapping[str, Any]) -> Properties | None:
        answer = cloud.find("DescribeKeyPairs", _NO_KEY, KeyNames=[id_], IncludePublicKey=True)
        if not answer or not answer["KeyPairs"]:
            return None
        pair = answer["KeyPairs"][0]
        found, given = pair.get("PublicKey"), known.get("publicKey")
        return {
            "arn": f"arn:aws:ec2:{cloud.config.region}::key-pair/{id_}",
            "keyName": pair["KeyName"],
            "keyPairId": pair["KeyPairId"],
            "keyType": pair.get("KeyType"),
            "fingerprint": pair["KeyFingerprint"],
            "publicKey": given if given and (not found or _same_key(found, given)) else found,
            **tags.live(cloud, pair.get("Tags"), known),
        }

    def update(
        self,
        cloud: Cloud,
        id_: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        seconds: float,
    ) -> None:
        live = self.read(cloud, id_, news)
        if live:
            tags.replace(cloud, live["keyPairId"], olds.get("tags"), news.get("tags"))

    def delete(self, cloud: Cloud, id_: str, seconds: float) -> None:
        cloud.delete("DeleteKeyPair", _NO_KEY, seconds, KeyName=id_)


def _same_key(one: str, other: str) -> bool:
    """Return whether both are the same key; the text after type and key is a comment."""
    return one.split()[:2] == other.split()[:2]
