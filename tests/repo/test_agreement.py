"""Files that must say the same thing say the same thing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import StackSettings
from provisioning.config.service_facts import API, PROMETHEUS, PUBLIC_PORTS, SERVICES, UI
from provisioning.config.stack_outputs import StackOutputs

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
JENKINSFILE = (ROOT / "Jenkinsfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def loaded(name: str) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / name).read_text())
    assert isinstance(content, dict)
    return content


def make_verbs() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize(
    "name",
    [
        *("infra", "app", "ui", "monitoring", "provisioning", "tests", "Pulumi.yaml", "Pulumi.dev.yaml"),
        *("docker-compose.yml", "Jenkinsfile", "requirements.txt"),
    ],
)
def test_the_top_level_has_what_the_card_names(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    "package",
    [
        *("pulumi", "pulumi-aws", "flask", "scikit-learn", "prometheus-client", "streamlit", "paramiko"),
        *("pytest", "moto"),
    ],
)
def test_the_lock_has_the_cards_packages_with_hashes(package: str) -> None:
    lock = (ROOT / "requirements.txt").read_text()
    assert re.search(rf"^{package}(\[[a-z0-9,]+\])?==\S+ \\\n    --hash=sha256:", lock, re.MULTILINE)


def test_the_engine_and_its_sdk_are_one_version() -> None:
    (engine,) = re.findall(r"^version=(\S+)$", (ROOT / "tools/engine.sh").read_text(), re.MULTILINE)
    (module,) = re.findall(r"pulumi/pkg/v3 v(\S+)", (ROOT / "tools/engine/cli/go.mod").read_text())
    (sdk,) = re.findall(r'"pulumi==([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert engine == module == sdk


def test_pulumi_yaml_declares_exactly_the_settings_that_the_program_reads() -> None:
    declared = {key.partition(":")[2] for key in loaded("Pulumi.yaml")["config"]}
    read = {str(field.alias) for field in StackSettings.model_fields.values()} - {"projectRoot"}
    assert declared == read


def test_every_setting_is_described() -> None:
    for key, declaration in loaded("Pulumi.yaml")["config"].items():
        assert declaration.get("description"), key


def test_the_aws_stack_sets_only_settings_that_exist() -> None:
    declared = set(loaded("Pulumi.yaml")["config"])
    used = {key for key in loaded("Pulumi.dev.yaml")["config"] if key.startswith("onebox:")}
    assert used <= declared


def test_the_aws_stack_opens_nothing_to_the_world() -> None:
    assert "0.0.0.0/0" not in str(loaded("Pulumi.dev.yaml"))


def test_ports_agree_between_program_compose_and_prometheus() -> None:
    services = loaded("docker-compose.yml")["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {facts.name: [f"{facts.port}:{facts.port}"] for facts in SERVICES}
    targets = {
        target
        for job in loaded("monitoring/prometheus.yml")["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert targets == {f"{API.name}:{API.port}", f"localhost:{PROMETHEUS.port}"}
    assert services[UI.name]["environment"]["API_URL"] == f"http://{API.name}:{API.port}"


def test_the_configuration_names_exactly_the_ports_that_can_be_opened() -> None:
    fields = StackSettings.model_fields
    settable = {name.removesuffix("_cidrs") for name in fields if name.endswith("_cidrs")}
    nameable = str(fields["open_to_the_world"].annotation)
    assert settable == set(PUBLIC_PORTS) == set(re.findall(r"'(\w+)'", nameable))
    outputs = {name for name in StackOutputs.__dataclass_fields__ if name.endswith("_url")}
    assert outputs == {f"{name}_url" for name in set(PUBLIC_PORTS) - {"ssh"}}


def test_every_declared_data_directory_is_mounted_by_its_service() -> None:
    services = loaded("docker-compose.yml")["services"]
    for facts in SERVICES:
        mounted = re.findall(r"\$\{(ONEBOX_\w+_DIR):-", str(services[facts.name]["volumes"]))
        assert mounted == [data.variable for data in facts.live_data]


def test_pulumi_yaml_describes_each_port_by_its_number() -> None:
    config = loaded("Pulumi.yaml")["config"]
    for facts in SERVICES:
        assert f"port {facts.port};" in config[f"onebox:{facts.opened_as}Cidrs"]["description"]


def test_prometheus_scrapes_the_api_every_ten_seconds() -> None:
    (job,) = [
        job
        for job in loaded("monitoring/prometheus.yml")["scrape_configs"]
        if job["static_configs"][0]["targets"] == [f"{API.name}:{API.port}"]
    ]
    config = loaded("monitoring/prometheus.yml")
    assert job.get("scrape_interval", config["global"]["scrape_interval"]) == "10s"
    assert job.get("metrics_path", "/metrics") == API.metrics


@pytest.mark.parametrize("service", loaded("docker-compose.yml")["services"])
def test_every_service_runs_hardened_and_is_watched(service: str) -> None:
    definition = loaded("docker-compose.yml")["services"][service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["security_opt"] == ["no-new-privileges:true"]
    assert definition["user"] == "10001:10001"
    assert definition["healthcheck"]["test"][0] == "CMD"
    assert definition["mem_limit"]
    assert definition["pids_limit"]
    assert definition["networks"] == ["mlops-network"]


def test_jenkins_has_the_documents_nine_stages_in_order_and_one_that_calls_pulumi() -> None:
    stages = re.findall(r"stage\('([^']+)'\)", JENKINSFILE)
    document = [
        *("Checkout", "Setup", "Train Models", "Test", "Build", "Push"),
        *("Deploy", "Health Check", "Smoke Test"),
    ]
    assert [stage for stage in stages if stage in document] == document
    assert [stage for stage in stages if stage not in document] == ["Provision"]


def test_every_jenkins_step_is_one_command_that_exists_here() -> None:
    commands = re.findall(r"sh '([^']+)'", JENKINSFILE)
    assert len(commands) >= 9
    for command in commands:
        words = command.split()
        if words[0] == "make":
            assert words[1] in make_verbs(), command
        elif words[0].startswith("tools/"):
            assert (ROOT / words[0]).stat().st_mode & 0o111, command
        else:
            assert words[0] in {"docker", "tar"}, command


def test_jenkins_pastes_no_parameter_into_a_command() -> None:
    assert not re.search(r'sh "', JENKINSFILE)
    for command in re.findall(r"sh '([^']+)'", JENKINSFILE):
        assert "${" not in command


def test_the_readme_shows_every_make_verb() -> None:
    for verb in make_verbs():
        assert f"make {verb}" in README, verb


def test_the_readme_names_every_output_of_the_stack() -> None:
    for name in ("public_ip", "api_url", "ui_url", "prometheus_url", "ssh_command", "host_key_fingerprint"):
        assert name in StackOutputs.__dataclass_fields__
        assert f"`{name}`" in README, name


def test_the_readme_answers_the_documents_troubleshooting() -> None:
    for issue in (
        "Models not found",
        "Port already in use",
        "Services not starting",
        "Cannot connect to API",
    ):
        assert issue in README, issue
    assert "Prometheus not scraping" in README


def test_no_python_file_is_longer_than_300_lines() -> None:
    for package in ("app", "images", "ui", "infra", "provisioning", "benchmarks"):
        for file in (ROOT / package).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 300, file.relative_to(ROOT)
