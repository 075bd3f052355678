"""Tags: the resource's own, the provider's default ones, and EC2's list form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from infra.local.provider.ec2.client import Cloud


def merged(default: Mapping[str, str], own: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all tags of a resource; its own override the default ones."""
    return {**default, **(own or {})}


def specifications(cloud: Cloud, kind: str, own: Mapping[str, str] | None) -> list[dict[str, Any]] | None:
    """Return `TagSpecifications` of a create request for a resource of EC2's `kind`, or None without any tag."""
    tags = merged(cloud.config.default_tags, own)
    return [{"ResourceType": kind, "Tags": listed(tags)}] if tags else None


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a mapping as EC2's list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def mapped(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return EC2's list as a mapping, without the tags that AWS reserves."""
    return {tag["Key"]: tag["Value"] for tag in tags or () if not tag["Key"].startswith("aws:")}


def live(cloud: Cloud, tags: Iterable[Mapping[str, str]] | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tags` and `tagsAll`. A default tag is the resource's own only where the program has it too."""
    found = mapped(tags)
    default = cloud.config.default_tags
    given = known.get("tags") or {}
    own = {key: text for key, text in found.items() if default.get(key) != text or key in given}
    return {"tags": own, "tagsAll": found}


def replace(cloud: Cloud, id_: str, old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> None:
    """Set the tags of one resource to `new` and the default ones; other tags stay."""
    default = cloud.config.default_tags
    change([id_], cloud, merged(default, old), merged(default, new))


def change(ids: Sequence[str], cloud: Cloud, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Change the `old` to the `new` tags on every id; a tag in neither stays."""
    gone = [key for key in old if key not in new]
    fresh = {key: text for key, text in new.items() if old.get(key) != text}
    if gone:
        cloud.call("DeleteTags", Resources=list(ids), Tags=[{"Key": key} for key in gone])
    if fresh:
        cloud.call("CreateTags", Resources=list(ids), Tags=listed(fresh))
