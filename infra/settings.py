"""The stack's configuration: read once, and validated as a whole before the engine acts."""

from __future__ import annotations

import difflib
import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra.keys import KeyFileError, check_private_key_file, read_public_key
from provisioning.config.login import Login
from provisioning.config.project import expand_user
from provisioning.config.service_facts import PUBLIC_PORTS
from provisioning.errors import SettingsError

NAMESPACE = "onebox"

OperatingSystem = Literal["debian-13", "amazon-linux-2023"]


class ConfigError(ValueError):
    """Values of the stack's configuration cannot be used; `problems` has one sentence for each."""

    hint = "Set it with `pulumi config set`, or edit the stack's Pulumi.<stack>.yaml."

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _known_instance_type(value: str) -> str:
    from infra.aws import InstanceType

    known = {member.value for member in InstanceType}
    if value not in known:
        raise ValueError(f"{value!r} is not an instance type of EC2{_nearest(value, known)}")
    return value


def _network(text: str) -> str:
    try:
        if "/" in text:
            return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        with_host = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a CIDR such as 203.0.113.7/32") from None
    if "/" in text:
        raise ValueError(f"{text!r} has host bits set; did you mean {with_host.network}?")
    raise ValueError(f"{text!r} is an address, not a CIDR; did you mean {with_host.network}?")


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > 50:
        raise ValueError(f"{len(values)} CIDRs are more than a security group takes for a port (50)")
    networks = tuple(_network(value) for value in values)
    twice = {network for network in networks if networks.count(network) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} is listed twice")
    return networks


def _tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > 40:
        raise ValueError(f"{len(tags)} tags; AWS takes 50 and onebox sets some itself, so 40 at most")
    for key in tags:
        if key.lower().startswith("aws:"):
            raise ValueError(f"tag {key!r}: names that begin with aws: belong to AWS")
        if not (key + tags[key]).isascii():
            raise ValueError(f"tag {key!r}: only ASCII characters are allowed")
    return tags


_WEIGHTS = {"MODEL_V1_WEIGHT": "modelV1Weight", "MODEL_V2_WEIGHT": "modelV2Weight"}

Networks = Annotated[tuple[str, ...], AfterValidator(_networks)]
Weight = Annotated[int, Field(ge=0, le=100)]


class StackSettings(BaseModel):
    """The stack's configuration, typed. Field names are the config keys in snake case."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    project_root: Path = Field(exclude=True)

    instance_type: Annotated[str, AfterValidator(_known_instance_type)] = "t3.medium"
    os: OperatingSystem = "debian-13"
    ami_id: Annotated[str, Field(pattern=r"^ami-[0-9a-f]{8,17}$")] | None = None
    volume_size_gb: Annotated[int, Field(ge=12, le=16384)] = 20
    ssh_cidrs: Networks
    api_cidrs: Networks = ()
    ui_cidrs: Networks = ()
    prometheus_cidrs: Networks = ()
    open_to_the_world: tuple[Literal["ssh", "api", "ui", "prometheus"], ...] = ()
    ssh_public_key_file: Path
    ssh_private_key_file: Path | None = None
    ssh_jump: str | None = None
    ssh_jump_host_key: str | None = None
    model_v1_weight: Weight = 50
    model_v2_weight: Weight = 50
    service_env: dict[str, str] = {}
    service_secrets: dict[str, SecretStr] = {}
    tags: Annotated[dict[str, str], AfterValidator(_tags)] = {}
    registry_mirror: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")] | None = None
    extra_ca_files: tuple[Path, ...] = ()
    aws_plugin_version: str | None = None

    @model_validator(mode="after")
    def _open_networks_are_confirmed(self) -> Self:
        for name, networks in self.cidrs.items():
            wide = [network for network in networks if ipaddress.ip_network(network).prefixlen < 8]
            if wide and name not in self.open_to_the_world:
                raise ValueError(
                    f"{name}Cidrs: {wide[0]} opens port {PUBLIC_PORTS[name]} to the world; "
                    f"if that is what you want, add {name} to openToTheWorld"
                )
        if not self.ssh_cidrs:
            raise ValueError(
                "sshCidrs: empty, so the release could never be pushed; name the address you work from"
            )
        return self

    @model_validator(mode="after")
    def _a_model_serves(self) -> Self:
        if self.model_v1_weight + self.model_v2_weight == 0:
            raise ValueError("modelV1Weight and modelV2Weight: both are 0, so no model would answer")
        return self

    @model_validator(mode="after")
    def _one_source_for_each_value(self) -> Self:
        for name in self.service_env:
            if name in _WEIGHTS:
                raise ValueError(f"serviceEnv: {name} is set by {_WEIGHTS[name]}")
        for name, value in self.service_secrets.items():
            if not value.get_secret_value().strip():
                raise ValueError(f"serviceSecrets: {name} is empty")
        return self

    @model_validator(mode="after")
    def _files_exist(self) -> Self:
        try:
            read_public_key(self.absolute(self.ssh_public_key_file))
            if self.ssh_private_key_file:
                check_private_key_file(self.absolute(self.ssh_private_key_file))
        except KeyFileError as error:
            raise ValueError(f"{error.setting}: {error}") from error
        for path in self.extra_ca_files:
            if not self.absolute(path).is_file():
                raise ValueError(f"extraCaFiles: there is no file {path}")
        return self

    @model_validator(mode="after")
    def _jump_host_is_usable(self) -> Self:
        try:
            self.login()
        except SettingsError as error:
            raise ValueError(f"{to_camel(error.field)}: {error}. {error.hint}".rstrip(". ")) from error
        return self

    @property
    def cidrs(self) -> dict[str, tuple[str, ...]]:
        """Return the CIDRs that may reach each public port, by the port's name."""
        return {
            "ssh": self.ssh_cidrs,
            "api": self.api_cidrs,
            "ui": self.ui_cidrs,
            "prometheus": self.prometheus_cidrs,
        }

    @property
    def open_ports(self) -> frozenset[int]:
        """Return the ports that at least one address may reach."""
        return frozenset(PUBLIC_PORTS[name] for name, networks in self.cidrs.items() if networks)

    @property
    def ssh_user(self) -> str:
        """Return the user that the image's cloud-init creates."""
        return "admin" if self.os == "debian-13" else "ec2-user"

    @property
    def service_environment(self) -> dict[str, str]:
        """Return the plain values for the services, by the names of the compose file."""
        weights = (self.model_v1_weight, self.model_v2_weight)
        return {**dict(zip(_WEIGHTS, map(str, weights), strict=True)), **self.service_env}

    @property
    def secret_values(self) -> dict[str, str]:
        """Return the plain values of the services' secrets, by the names of the compose file."""
        return {name: value.get_secret_value() for name, value in self.service_secrets.items()}

    def absolute(self, path: Path) -> Path:
        """Return a configured path as absolute: relative to the project's root, `~` is the user's home."""
        return self.project_root / expand_user(path)

    def public_key(self) -> str:
        """Return the public half of the key that may log in, `type base64`."""
        return read_public_key(self.absolute(self.ssh_public_key_file))

    def login(self) -> Login:
        """Return the login to the host."""
        return Login.of(
            {
                "user": self.ssh_user,
                "private_key_file": self.ssh_private_key_file,
                "public_key": self.public_key(),
                "jump": self.ssh_jump,
                "jump_host_key": self.ssh_jump_host_key,
            }
        )

    def ca_certificates(self) -> list[str]:
        """Return the certificates (PEM) of the extra authorities that the host trusts."""
        return [self.absolute(path).read_text().strip() + "\n" for path in self.extra_ca_files]

    @classmethod
    def from_config(
        cls, config: Mapping[str, str], project_root: Path, secret_keys: Collection[str] = ()
    ) -> Self:
        """Return the settings from the engine's flat config, `onebox:key` -> text (JSON for lists and maps).

        `secret_keys` are the keys that the engine keeps encrypted.
        Raises ConfigError with one sentence for every value that cannot be used. Ignores other namespaces.
        """
        values: dict[str, Any] = {"projectRoot": project_root}
        known = {str(field.alias) for field in cls.model_fields.values()} - {"projectRoot"}
        problems = []
        for key, text in config.items():
            namespace, _, name = key.partition(":")
            if namespace != NAMESPACE:
                continue
            if name not in known:
                problems.append(f"{key}: there is no such setting{_nearest(name, known)}")
                continue
            if name == "serviceSecrets" and text not in ("", "{}") and key not in secret_keys:
                problems.append(
                    f"{key}: is in plain text; set it with `pulumi config set --secret --path '{key}.NAME'`"
                )
            # An optional setting that Pulumi.yaml declares without a value arrives as an empty text.
            if text != "":
                values[name] = _parse(text)
        if problems:
            raise ConfigError(problems)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_sentence(problem) for problem in error.errors()) from error


def _parse(text: str) -> Any:
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _sentence(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{NAMESPACE}:{where}: is required, but not set"
    if not where:
        return f"{NAMESPACE}:{message}"
    if problem["type"] != "value_error":
        message = message[:1].lower() + message[1:]
    return f"{NAMESPACE}:{where}: {message}"
