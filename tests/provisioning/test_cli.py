"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provisioning import cli
from provisioning.cli import session
from provisioning.config.stack_outputs import push_settings, read_outputs
from provisioning.deploy.push import PushResult
from provisioning.errors import ExitCode, Locked, ProvisioningError, SettingsError, UnhealthyRelease
from provisioning.host_errors import Unreachable

RESULT = PushResult("a" * 64, True, 3, 1000, ("recreate api",), 2.5, ())


@pytest.fixture
def run(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session, "settings", lambda _stack: host.settings())
    return lambda *words: CliRunner().invoke(cli.app, words)


def test_a_push_reports_the_release(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.deploy.push.push_release", lambda *_given, **_more: RESULT)

    result = run("push")

    assert (result.exit_code, result.stdout) == (0, "release aaaaaaaaaaaa serves (2.5 s)\n")


def test_the_result_of_a_push_as_json_is_all_of_standard_output(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.deploy.push.push_release", lambda *_given, **_more: RESULT)

    shown = json.loads(run("push", "--json").stdout)

    assert shown["container_actions"] == ["recreate api"]
    assert set(shown) == {
        "release",
        "changed",
        "uploaded_files",
        "uploaded_bytes",
        "container_actions",
        "seconds",
        "warnings",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("h:22", "refused"), 1),
        (SettingsError("host", "no host"), 2),
        (UnhealthyRelease("api", "it crashed", log_tail=("last words",), restored="b", outcome="back"), 3),
        (Locked("ann"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_given: Any, **_more: Any) -> PushResult:
        raise error

    monkeypatch.setattr("provisioning.deploy.push.push_release", fail)

    result = run("push")

    assert result.exit_code == code
    if isinstance(error, ProvisioningError):
        assert f"error: {error}" in result.stderr
        assert error.hint in result.stderr
    if isinstance(error, UnhealthyRelease):
        assert "api | last words" in result.stderr


@pytest.mark.parametrize(
    "words", [("pusch",), ("push", "--nope"), ("push", "--timeout", "0"), ("push", "--timeout", "x")]
)
def test_wrong_usage_ends_with_2(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_the_help_names_the_exit_codes(run: Any) -> None:
    for words in (("--help",), ("push", "--help")):
        text = " ".join(run(*words).stdout.split())
        assert "3 the new release was unhealthy and was undone; 4 another push holds the lock" in text


def test_logs_come_from_the_host(run: Any, capfdbinary: Any) -> None:
    result = run("logs", "api", "--tail", "5")

    assert result.exit_code == 0
    assert "line 79 of api" in result.stdout


def test_a_service_name_that_is_an_option_is_refused(run: Any) -> None:
    assert run("logs", "--", "--file=/etc/passwd").exit_code == 2


def test_help_loads_neither_paramiko_nor_rich() -> None:
    code = "import sys; sys.argv = ['onebox', '--help']; import provisioning.cli as c\n"
    code += "try:\n    c.main()\nexcept SystemExit: pass\n"
    code += "print([name for name in ('paramiko', 'rich', 'yaml') if name in sys.modules], file=sys.stderr)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_paramiko_is_imported_without_a_task_runner_that_others_can_still_import() -> None:
    code = "import sys, provisioning.ssh, paramiko\n"
    code += "print('invoke' in sys.modules)\n"
    code += "import invoke\n"
    code += "print(invoke.__name__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\ninvoke\n"


def test_a_push_does_not_load_what_only_a_plan_with_actions_needs() -> None:
    code = "import sys, provisioning.deploy.push\n"
    code += "later = ('deploy.apply', 'deploy.rollout', 'services.smoke', 'plan.preview')\n"
    code += "print([name for name in later if f'provisioning.{name}' in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_outside_a_project_one_sentence_names_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONEBOX_PROJECT", raising=False)

    result = CliRunner().invoke(cli.app, ["push"])

    assert result.exit_code == 2
    assert f"error: neither {tmp_path} nor a directory above it has a Pulumi.yaml" in result.stderr
    assert "hint: Change to the project's directory, or set ONEBOX_PROJECT to it." in result.stderr


@pytest.mark.parametrize("configured", [True, False])
def test_the_project_is_above_the_working_directory_or_configured(
    monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path, configured: bool
) -> None:
    found = []
    (project / "Pulumi.yaml").write_text("name: mine\n")
    monkeypatch.chdir(tmp_path if configured else project / "app")
    monkeypatch.setenv("ONEBOX_PROJECT", str(project) if configured else "")
    monkeypatch.setattr(
        "provisioning.config.stack_outputs.read_outputs", lambda root, _stack: found.append(root)
    )
    monkeypatch.setattr(
        "provisioning.config.stack_outputs.push_settings", lambda _outputs, root: found.append(root)
    )

    session.settings(None)

    assert found == [project, project]


OUTPUTS = {
    "public_ip": "192.0.2.7",
    "api_url": "",
    "ui_url": "",
    "prometheus_url": "",
    "ssh_command": "",
    "host_key_fingerprint": "",
    "release": "",
    "host_public_key": "",
    "ssh_user": "admin",
    "ssh_private_key_file": "",
    "instance_id": "i-1",
    "open_ports": [22, 5000],
    "service_environment": {"MODEL_V1_WEIGHT": "70"},
}


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a `pulumi` on PATH that prints and ends as told."""

    def install(stdout: str, status: int = 0, stderr: str = "") -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "out").write_text(stdout)
        (tmp_path / "err").write_text(stderr)
        file = tmp_path / "bin" / "pulumi"
        file.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/argv\ncat {tmp_path}/out\ncat {tmp_path}/err >&2\nexit {status}\n'
        )
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    return install


def test_the_stacks_outputs_become_the_settings(host: Any, pulumi: Any, tmp_path: Path) -> None:
    values = {"host_public_key": host.host_key, "ssh_private_key_file": str(host.target.private_key_file)}
    pulumi(json.dumps({**OUTPUTS, **values}))

    settings = push_settings(read_outputs(host.project, "dev"), host.project)

    assert (settings.target.host, settings.target.host_keys) == ("192.0.2.7", (host.host_key,))
    assert dict(settings.environment) == {"MODEL_V1_WEIGHT": "70"}
    assert (
        tmp_path / "argv"
    ).read_text() == "stack output --json --show-secrets --non-interactive --stack dev\n"


def test_the_jump_host_and_the_secrets_of_a_stack_become_the_settings(host: Any, pulumi: Any) -> None:
    more = {"ssh_jump": "me@jump.example:2222", "ssh_jump_host_key": host.host_key}
    values = {"host_public_key": host.host_key, "ssh_public_key": host.sshd.login_key, **more}
    secret = {"service_secrets": {"api_token": "canary-17"}, "digest_key": "k" * 64}
    pulumi(json.dumps({**OUTPUTS, **values, **secret}))

    outputs = read_outputs(host.project, "dev")
    settings = push_settings(outputs, host.project)

    assert settings.target.private_key_file is None
    assert settings.target.login_key == host.sshd.login_key
    assert str(settings.target.jump) == "me@jump.example:2222"
    assert dict(settings.secrets.values) == {"api_token": "canary-17"}
    assert "canary-17" not in repr(outputs) + repr(settings)


@pytest.mark.parametrize(
    ("stdout", "status", "stderr", "sentence"),
    [
        ("", 255, "error: no stack named 'dev' found", "no stack named 'dev' found"),
        ("{}", 0, "", "the stack has no output named public_ip"),
        ("nonsense", 0, "", "cannot be used"),
    ],
)
def test_outputs_that_cannot_be_read_are_one_sentence(
    project: Path, pulumi: Any, stdout: str, status: int, stderr: str, sentence: str
) -> None:
    pulumi(stdout, status, stderr)

    with pytest.raises(ProvisioningError, match=sentence):
        read_outputs(project, None)


def test_a_missing_pulumi_is_an_error_with_a_hint(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ProvisioningError, match="pulumi is not on PATH") as caught:
        read_outputs(project, None)

    assert caught.value.hint == "Run `. tools/env.sh` first."


def test_each_exit_code_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
    table = text.partition("## Exit codes\n")[2].partition("\n## ")[0]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(ExitCode)
