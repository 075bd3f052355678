"""Pulumi.<stack>.yaml of a rehearsal belongs to the user; only the cloud's addresses are kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.local.plugin import install
from infra.local.provider import VERSION
from infra.local.stack_config import merge

CLOUD: dict[str, Any] = {
    "endpoint": "http://127.0.0.1:4577",
    "region": "eu-central-1",
    "gateway_cidr": "172.29.91.1/32",
    "registry_mirror": "http://172.29.91.1:5577",
    "ca_files": ["/etc/ca.crt"],
}


def test_a_new_file_opens_all_four_ports_to_this_machine_alone() -> None:
    config = merge({}, CLOUD)["config"]
    for port in ("ssh", "api", "ui", "prometheus"):
        assert config[f"onebox:{port}Cidrs"] == ["172.29.91.1/32"]


def test_a_new_file_selects_the_local_clouds_provider() -> None:
    assert merge({}, CLOUD)["config"]["onebox:awsPluginVersion"] == VERSION


def test_what_the_user_changed_stays() -> None:
    mine = {"config": {"onebox:apiCidrs": [], "onebox:modelV1Weight": 90}, "encryptionsalt": "v1:x"}
    merged = merge(mine, CLOUD)
    assert merged["encryptionsalt"] == "v1:x"
    assert merged["config"]["onebox:apiCidrs"] == []
    assert merged["config"]["onebox:modelV1Weight"] == 90


def test_what_the_user_took_out_stays_out() -> None:
    before = merge({}, CLOUD)
    del before["config"]["onebox:prometheusCidrs"]
    assert "onebox:prometheusCidrs" not in merge(before, CLOUD)["config"]


def test_a_cloud_that_moved_is_followed() -> None:
    moved = {**CLOUD, "endpoint": "http://127.0.0.1:9999"}
    assert merge(merge({}, CLOUD), moved)["config"]["aws:endpoints"] == [{"ec2": "http://127.0.0.1:9999"}]


def test_a_file_that_is_up_to_date_is_not_touched() -> None:
    once = merge({}, CLOUD)
    assert merge(once, CLOUD) == once


def test_the_plugin_is_a_link_to_this_checkouts_provider(tmp_path: Path) -> None:
    for _ in range(2):
        directory = install(tmp_path)
    assert directory.name == f"resource-aws-v{VERSION}"
    assert (directory / "pulumi-resource-aws").resolve().is_file()
