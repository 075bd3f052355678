"""promtool's verdict on the configuration, and what it does not check: that every alert is complete and tested."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULE_TESTS = sorted((MONITORING / "rules" / "tests").glob("*.yml"))
RUNBOOK = "docs/alerts.md"

EXPORTED = {
    "prediction_requests_total",
    "model_version_requests_total",
    "prediction_latency_seconds_bucket",
    "prediction_latency_seconds_count",
    "prediction_latency_seconds_sum",
    "prediction_errors_total",
    "model_drift_score",
    "model_drift_window_rows",
    "model_drift_warming_up",
    "prediction_log_up",
    "prediction_log_shed_total",
    "model_drift_detected",
    "model_feature_drift_ratio",
    "model_class_drift_ratio",
    "model_joint_drift_ratio",
    "invalid_requests_total",
    "release_info",
    "model_arm_up",
    "prediction_class_total",
}
"""What the API exports, as its contract with this directory says."""

FROM_PROMETHEUS = {"up"}
WORDS = {
    "and",
    "or",
    "unless",
    "on",
    "by",
    "sum",
    "increase",
    "rate",
    "absent",
    "vector",
    "histogram_quantile",
}


def promtool(*arguments: str | Path, cwd: Path = MONITORING) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: install Debian's package `prometheus` (or `promtool`).")
    return subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules of a kind: "alert" or "record"."""
    return [
        rule
        for path in sorted((MONITORING / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


ALERTS = {alert["alert"]: alert for alert in rules("alert")}


def expectations(alert: str) -> list[list[Any]]:
    """What the rule tests expect of an alert, one list of firing alerts per look."""
    return [
        look.get("exp_alerts") or []
        for path in RULE_TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for look in test["alert_rule_test"]
        if look["alertname"] == alert
    ]


def names_in(expression: str) -> set[str]:
    """Metric names of a PromQL expression: its words without strings, label lists, matchers and durations."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare)) - WORDS


def test_prometheus_accepts_the_configuration_and_all_its_rules() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert "SUCCESS: 2 rule files found" in checked.stdout


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_fire_and_stay_silent_as_their_tests_say(path: Path) -> None:
    tested = promtool("test", "rules", path.name, cwd=path.parent)
    assert tested.returncode == 0, tested.stderr + tested.stdout


@pytest.mark.parametrize(
    ("alert", "documented"),
    [
        ("HighErrorRate", "rate(prediction_errors_total[5m]) > 0.05"),
        ("HighLatency", "histogram_quantile(0.95, prediction_latency_seconds) > 1.0"),
    ],
)
def test_the_uncorrected_rules_do_not_pass_these_tests(alert: str, documented: str, tmp_path: Path) -> None:
    shutil.copytree(MONITORING / "rules", tmp_path / "rules")
    path = tmp_path / "rules" / "alerts.yml"
    content = yaml.safe_load(path.read_text())
    for rule in (rule for group in content["groups"] for rule in group["rules"]):
        if rule["alert"] == alert:
            rule["expr"] = documented
    path.write_text(yaml.safe_dump(content))
    tests = [test.name for test in RULE_TESTS]
    tested = promtool("test", "rules", *tests, cwd=tmp_path / "rules" / "tests")
    assert tested.returncode != 0
    assert set(re.findall(r"alertname: ?(\w+)", tested.stdout + tested.stderr)) == {alert}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert.lower()}"


@pytest.mark.parametrize("alert", [name for name in ALERTS if name != "Watchdog"])
def test_an_alert_waits_before_it_fires(alert: str) -> None:
    assert re.fullmatch(r"[1-9]\d*[sm]", ALERTS[alert]["for"])


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_test_in_which_it_fires(alert: str) -> None:
    assert any(expectations(alert))


@pytest.mark.parametrize("alert", [name for name in ALERTS if name != "Watchdog"])
def test_an_alert_has_a_test_in_which_it_stays_silent(alert: str) -> None:
    assert not all(expectations(alert))


def test_the_runbook_has_one_section_per_alert_and_no_other() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


@pytest.mark.parametrize(
    "rule", rules("alert") + rules("record"), ids=lambda rule: str(next(iter(rule.values())))
)
def test_a_rule_names_only_metrics_that_exist(rule: dict[str, Any]) -> None:
    recorded = {record["record"] for record in rules("record")}
    assert names_in(rule["expr"]) <= EXPORTED | FROM_PROMETHEUS | recorded


def test_every_name_of_an_expression_is_found() -> None:
    expression = 'sum by (job, le) (rate(typo_bucket{job="x"}[5m])) > 1 and on (job) job:typo:rate5m'
    assert names_in(expression) == {"typo_bucket", "job:typo:rate5m"}
