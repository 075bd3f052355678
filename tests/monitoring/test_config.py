"""What the configuration promises to the rest of the stack."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
DOCKERFILE = ROOT / "images" / "prometheus" / "Dockerfile"
CONFIG = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
JOBS = {job["job_name"]: job for job in CONFIG["scrape_configs"]}


def command() -> list[str]:
    """The arguments of the image's CMD."""
    text = (DOCKERFILE).read_text().replace("\\\n", "")
    (found,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    arguments: list[str] = json.loads(found)
    return arguments


def test_the_api_is_scraped_every_ten_seconds() -> None:
    assert CONFIG["global"]["scrape_interval"] == "10s"
    assert JOBS["flask-api"]["static_configs"] == [{"targets": ["flask-api:5000"]}]
    # Both at their defaults: /metrics, and the interval above.
    assert not {"metrics_path", "scrape_interval"} & JOBS["flask-api"].keys()


def test_prometheus_watches_itself() -> None:
    assert JOBS["prometheus"]["static_configs"] == [{"targets": ["localhost:9090"]}]


def test_rule_files_are_found_wherever_the_directory_is_mounted() -> None:
    assert CONFIG["rule_files"]
    assert not any(Path(pattern).is_absolute() for pattern in CONFIG["rule_files"])


def test_data_stays_on_its_volume_and_within_its_limits() -> None:
    assert "--config.file=/etc/prometheus/prometheus.yml" in command()
    assert "--storage.tsdb.path=/prometheus" in command()
    assert any(option.startswith("--storage.tsdb.retention.time=") for option in command())
    assert any(option.startswith("--storage.tsdb.retention.size=") for option in command())


def test_nobody_can_change_or_stop_prometheus_over_http() -> None:
    assert not [
        option for option in command() if re.search(r"enable-(lifecycle|admin-api|remote-write)", option)
    ]


def test_the_image_runs_as_a_numeric_user() -> None:
    assert re.findall(r"^USER (.+)$", (DOCKERFILE).read_text(), re.MULTILINE) == ["10001"]
