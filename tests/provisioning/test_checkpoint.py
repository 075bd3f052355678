"""The engine's own file says the same as the engine, or is left alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.config.pulumi_state import read_checkpoint

NAMES = ("public_ip", "open_ports", "service_secrets")
OUTPUTS = {"public_ip": "192.0.2.7", "open_ports": [22, 5000], "service_secrets": {}, "more": "unread"}
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}


class Backend:
    """A project and a backend in a directory, as the engine leaves them."""

    def __init__(self, place: Path) -> None:
        self.root = place / "project"
        self.root.mkdir()
        (self.root / "Pulumi.yaml").write_text("name: shop\nruntime:\n  name: python\n")
        self.state = place / "state"
        self.home = place / "home"
        self.environment = {"PULUMI_BACKEND_URL": f"file://{self.state}", "PULUMI_HOME": str(self.home)}

    @property
    def stacks(self) -> Path:
        return self.state / ".pulumi" / "stacks" / "shop"

    def write(self, outputs: Any = OUTPUTS, *, name: str = "dev", **more: Any) -> None:
        root = {
            "urn": f"urn:pulumi:{name}::shop::pulumi:pulumi:Stack::shop-{name}",
            "type": "pulumi:pulumi:Stack",
            "outputs": outputs,
        }
        other = {"urn": f"urn:pulumi:{name}::shop::aws:x::y", "type": "aws:x", "outputs": {"public_ip": "no"}}
        checkpoint = {"stack": name, "latest": {"resources": [other, root]}}
        self.stacks.mkdir(parents=True, exist_ok=True)
        (self.stacks / f"{name}.json").write_text(
            json.dumps({"version": 3, "checkpoint": checkpoint, **more})
        )

    def select(self, stack: str) -> None:
        place = hashlib.sha1(str(self.root / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
        file = self.home / "workspaces" / f"shop-{place}-workspace.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"stack": stack}))

    def read(self, stack: str | None = "dev", **environment: str) -> dict[str, Any] | None:
        return read_checkpoint(self.root, stack, NAMES, {**self.environment, **environment})


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return Backend(tmp_path)


def test_the_outputs_that_were_asked_for_come_from_the_stack_itself(backend: Backend) -> None:
    backend.write()

    assert backend.read() == {"public_ip": "192.0.2.7", "open_ports": [22, 5000], "service_secrets": {}}


@pytest.mark.parametrize("selected", ["dev", "organization/shop/dev"])
def test_without_a_name_it_is_the_selected_stack(backend: Backend, selected: str) -> None:
    backend.write()
    backend.select(selected)

    assert (backend.read(None) or {})["public_ip"] == "192.0.2.7"


def test_an_output_that_is_encrypted_is_left_to_the_engine(backend: Backend) -> None:
    backend.write({**OUTPUTS, "service_secrets": SECRET})
    assert backend.read() is None

    backend.write({**OUTPUTS, "open_ports": [22, {"deep": [SECRET]}]})
    assert backend.read() is None


def test_an_encrypted_output_that_nobody_asked_for_is_no_reason_to_start_the_engine(backend: Backend) -> None:
    backend.write({**OUTPUTS, "more": SECRET})

    assert backend.read() is not None


@pytest.mark.parametrize(
    "environment",
    [
        {"PULUMI_BACKEND_URL": ""},
        {"PULUMI_BACKEND_URL": "s3://bucket"},
        {"PULUMI_BACKEND_URL": "file://~"},
        {"PULUMI_BACKEND_URL": "file://./state"},
        {"PULUMI_BACKEND_URL": "file:///state?no_tmp_dir=true"},
    ],
)
def test_another_backend_is_left_to_the_engine(backend: Backend, environment: dict[str, str]) -> None:
    backend.write()

    assert backend.read(**environment) is None


@pytest.mark.parametrize("stack", ["other", "organization/shop/dev", "../shop/dev", ""])
def test_a_stack_that_is_not_there_or_is_named_in_full_is_left_to_the_engine(
    backend: Backend, stack: str
) -> None:
    backend.write()

    assert backend.read(stack) is None


@pytest.mark.parametrize("more", [{"version": 4}, {"features": ["hooks"]}, {"checkpoint": {"latest": None}}])
def test_a_format_that_is_not_known_is_left_to_the_engine(backend: Backend, more: dict[str, Any]) -> None:
    backend.write(**more)

    assert backend.read() is None


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_stack_that_is_kept_packed_as_well_is_left_to_the_engine(backend: Backend, packed: str) -> None:
    backend.write()
    (backend.stacks / f"dev.json{packed}").write_bytes(b"")

    assert backend.read() is None


def test_a_file_that_is_cut_off_or_belongs_to_another_stack_is_left_to_the_engine(backend: Backend) -> None:
    backend.write()
    whole = (backend.stacks / "dev.json").read_text()
    (backend.stacks / "test.json").write_text(whole)
    (backend.stacks / "cut.json").write_text(whole[:-20])

    assert backend.read("test") is None
    assert backend.read("cut") is None


def test_a_selection_by_variable_and_none_at_all_are_left_to_the_engine(backend: Backend) -> None:
    backend.write()
    assert backend.read(None) is None

    backend.select("dev")
    assert backend.read(None, PULUMI_STACK="other") is None
