"""The releases that a host retains: since when they served, by whom, and what each changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from provisioning.agent.observe.messages import ReadReleases, Releases, Served
from provisioning.config.settings import PushSettings
from provisioning.deadline import Deadline
from provisioning.errors import SettingsError
from provisioning.events import silent
from provisioning.host.readiness import Connector, wait_for_login
from provisioning.host.store import Store
from provisioning.host_errors import ManifestRefused
from provisioning.release.manifest import DataDirectory, Release, ReleaseFile, ServiceRecord
from provisioning.ssh import connect

SHORTEST_PREFIX = 4
SHORT = 12
SPLIT = ("MODEL_V1_WEIGHT", "MODEL_V2_WEIGHT")
DEFAULT_WEIGHT = "50"


@dataclass(frozen=True)
class Differences:
    """The diff of two releases. All fields are empty where they differ in nothing that a user could see."""

    services: tuple[str, ...] = ()
    files: int = 0
    """Number of files that were added, changed or removed."""
    data: tuple[str, ...] = ()
    """Paths of data directories, for example the models."""
    environment: tuple[str, ...] = ()
    """Names of values; never the values, which may be secret."""
    split: str = ""
    """`50/50 -> 90/10`, when the split of the traffic differs."""

    def __str__(self) -> str:
        values = [name for name in self.environment if name not in SPLIT]
        parts = [
            ", ".join(self.services),
            f"{self.files} file{'s' * (self.files != 1)}" if self.files else "",
            ", ".join(self.data),
            f"values of {', '.join(values)}" if values else "",
            f"split {self.split}" if self.split else "",
        ]
        return "; ".join(part for part in parts if part) or "nothing"


@dataclass(frozen=True)
class KeptRelease:
    """A retained release. `differences` are those to the release that served before it."""

    release: str
    current: bool
    previous: bool
    """Whether `onebox rollback` without an argument selects it."""
    at: str
    who: str
    """Empty where the audit log has no line of it."""
    what: str
    age_seconds: float
    before: str | None
    differences: Differences | None
    """None when the release before it is no longer retained."""
    images_missing: tuple[str, ...]
    """Images that a rollback would have to build again."""


@dataclass(frozen=True)
class UnreadableRelease:
    """A retained release that cannot serve again: its manifest is damaged, or a newer version wrote it."""

    release: str
    current: bool
    previous: bool
    at: str
    reason: str
    hint: str


@dataclass(frozen=True)
class Kept:
    """The retained releases, the newest first, and the digests of those that were pruned."""

    releases: tuple[KeptRelease, ...]
    unreadable: tuple[UnreadableRelease, ...]
    past: tuple[str, ...]
    manifests: Mapping[str, Release]
    """Digest -> the release as its manifest has it."""

    def as_json(self) -> dict[str, object]:
        """Return the value of `--json`."""
        return {
            "releases": [asdict(item) for item in self.releases],
            "unreadable": [asdict(item) for item in self.unreadable],
            "past": list(self.past),
        }

    @property
    def current(self) -> KeptRelease | None:
        """Return the release that serves, if any."""
        return next((item for item in self.releases if item.current), None)


def read_releases(
    settings: PushSettings, deadline_seconds: float = 30, *, connector: Connector = connect
) -> Kept:
    """Return the retained releases of a host. Changes nothing. Raises ProvisioningError."""
    deadline = Deadline(deadline_seconds)
    with wait_for_login(settings.target, deadline, silent, connector=connector) as connection:
        return kept_on(Store(connection, settings.remote_root, settings.project_name), deadline)


def kept_on(store: Store, deadline: Deadline) -> Kept:
    """Return the retained releases of a host over its connection."""
    return kept_in(store.call(ReadReleases(store.root), deadline))


def kept_in(answer: Releases) -> Kept:
    """Return the releases in the agent's answer."""
    manifests: dict[str, Release] = {}
    unreadable: list[UnreadableRelease] = []
    for digest, item in answer.kept.items():
        try:
            manifests[digest] = Release.from_json(item.manifest, digest)
        except ManifestRefused as error:
            roles = digest == answer.current, digest == answer.previous != answer.current
            unreadable.append(UnreadableRelease(digest, *roles, item.written, error.reason, error.hint))
    served: dict[str, tuple[Served, str | None]] = {}
    before: str | None = None
    for entry in answer.served:
        # A repair of the current release does not make it younger.
        if entry.release != before:
            served.pop(entry.release, None)
            served[entry.release] = (entry, before)
            before = entry.release
    found = []
    for digest, manifest in manifests.items():
        entry, earlier = served.get(digest, (Served(), None))
        at = entry.at or answer.kept[digest].written
        built = {record.image for record in manifest.services.values() if record.build}
        found.append(
            KeptRelease(
                release=digest,
                current=digest == answer.current,
                previous=digest == answer.previous != answer.current,
                at=at,
                who=entry.who,
                what=entry.what,
                age_seconds=age(at, answer.now),
                before=earlier,
                differences=difference(manifests[earlier], manifest) if earlier in manifests else None,
                images_missing=tuple(sorted(built - set(answer.images))),
            )
        )
    # In the order of the log: the host's clock may have been set back.
    order = {release: number for number, release in enumerate(served)}
    found.sort(key=lambda item: (item.current, order.get(item.release, -1), item.at), reverse=True)
    return Kept(tuple(found), tuple(unreadable), answer.past, manifests)


def difference(old: Release, new: Release) -> Differences:
    """Return the diff of two releases."""
    data = {**old.data, **new.data}
    shares = split_of(old.environment), split_of(new.environment)
    return Differences(
        services=_changed(_digests(old.services), _digests(new.services)),
        files=len(_changed(_files(old), _files(new))),
        data=tuple(data[name].path for name in _changed(_digests(old.data), _digests(new.data))),
        environment=_changed(old.environment, new.environment),
        split=f"{shares[0]} -> {shares[1]}" if shares[0] != shares[1] else "",
    )


def split_of(environment: Mapping[str, str]) -> str:
    """Return the traffic split as weights `v1/v2`."""
    return "/".join(environment.get(name, DEFAULT_WEIGHT) for name in SPLIT)


def choose(kept: Kept, wanted: str | None) -> KeptRelease:
    """Return the release whose digest begins with `wanted`, or the previous one.

    Raises SettingsError with the reason for a release that is unknown, ambiguous, unreadable, current or pruned.
    """
    names = ", ".join(item.release[:SHORT] for item in kept.releases if not item.current) or "none"
    hint = f"Retained besides the current release: {names}."
    if wanted is None:
        chosen = next((item for item in kept.releases if item.previous), None)
        if chosen is None:
            _refuse_unreadable(item for item in kept.unreadable if item.previous)
            raise SettingsError("release", "there is no previous release to restore", hint=hint)
        return chosen
    if len(wanted) < SHORTEST_PREFIX or set(wanted) - set("0123456789abcdef"):
        raise SettingsError(
            "release",
            f"{wanted[:80]!r} is not a prefix of a release's digest",
            hint=f"Give at least {SHORTEST_PREFIX} of its hexadecimal digits. {hint}",
        )
    matching = [item for item in kept.releases if item.release.startswith(wanted)]
    unreadable = [item for item in kept.unreadable if item.release.startswith(wanted)]
    if len(matching) + len(unreadable) > 1:
        raise SettingsError("release", f"more than one release begins with {wanted}", hint=hint)
    if not matching:
        _refuse_unreadable(unreadable)
        gone = [digest for digest in kept.past if digest.startswith(wanted)]
        said = f"the release {gone[0][:SHORT]} was pruned" if gone else f"there is no release {wanted}"
        more = " Push its tree again to deploy it." if gone else ""
        raise SettingsError("release", f"{said} on the host", hint=hint + more)
    if matching[0].current:
        raise SettingsError(
            "release",
            f"the release {matching[0].release[:SHORT]} is the current one",
            hint="`onebox push` repairs it where the host drifted from it. " + hint,
        )
    return matching[0]


def _refuse_unreadable(found: Iterable[UnreadableRelease]) -> None:
    for item in found:
        said = f"the release {item.release[:SHORT]} on the host cannot be read: {item.reason}"
        raise SettingsError("release", said, hint=item.hint)


def age(at: str, now: float) -> float:
    """Return the seconds between a time in the logs' format and now, both by the host's clock; never below 0."""
    try:
        return max(0.0, now - datetime.fromisoformat(at).astimezone(UTC).timestamp())
    except ValueError:
        return 0.0


def _digests(records: Mapping[str, ServiceRecord] | Mapping[str, DataDirectory]) -> dict[str, str]:
    return {name: record.digest for name, record in records.items()}


def _files(release: Release) -> dict[str, ReleaseFile]:
    return {file.path: file for file in release.tree_files}


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))
