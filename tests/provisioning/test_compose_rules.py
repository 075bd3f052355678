"""What a compose file may not say: each is refused in one sentence, before any host is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from provisioning.config.settings import PushSettings, Target
from provisioning.deploy.push import push_release
from provisioning.errors import ReleaseError
from provisioning.release.compose_file import parse_compose_file

SERVICE = """\
services:
  api:
    build: ./app
    image: onebox/api:${ONEBOX_API_DIGEST:-dev}
    labels: {io.onebox.service-digest: "${ONEBOX_API_DIGEST:-dev}"}
"""
PULLED = """\
  db:
    image: %s
    labels: {io.onebox.service-digest: "${ONEBOX_DB_DIGEST:-dev}"}
"""


def refusal(text: str) -> ReleaseError:
    with pytest.raises(ReleaseError) as caught:
        parse_compose_file(text)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_service_that_these_tests_change_is_accepted() -> None:
    assert parse_compose_file(SERVICE).services[0].name == "api"


@pytest.mark.parametrize(
    ("line", "power"),
    [
        ("privileged: true", "privileged"),
        ("privileged: ${ROOT:-false}", "privileged"),
        ("privileged: y", "privileged"),
        ("cap_add: [NET_ADMIN]", "cap_add"),
        ("devices: [/dev/kvm]", "devices"),
        ("network_mode: host", "network_mode"),
        ("pid: host", "pid"),
        ("ipc: host", "ipc"),
        ("userns_mode: host", "userns_mode"),
        ("security_opt: [seccomp=unconfined]", "security_opt"),
        ("security_opt: ['apparmor:unconfined']", "security_opt"),
        ("security_opt: ['no-new-privileges:false']", "security_opt"),
        ("volumes: [/var/run/docker.sock:/var/run/docker.sock]", "host_paths"),
        ("volumes: ['/srv/docker.sock:/sock:ro']", "host_paths"),
        ("volumes: ['${SOCK:-/var/run/docker.sock}:/sock']", "host_paths"),
        ("volumes: [{type: bind, source: /, target: /host}]", "host_paths"),
        ("volumes: ['//etc/:/etc:ro']", "host_paths"),
        ("volumes: ['/srv/../etc/ssh:/keys']", "host_paths"),
    ],
)
def test_power_over_the_host_is_refused_until_it_is_opened_by_name(line: str, power: str) -> None:
    error = refusal(f"{SERVICE}    {line}\n")
    assert "service api has" in str(error)
    assert f"x-onebox-allow: [{power}]" in error.hint

    assert parse_compose_file(f"{SERVICE}    {line}\n    x-onebox-allow: [{power}]\n").services


def test_opening_one_power_opens_no_other() -> None:
    text = f"{SERVICE}    privileged: true\n    pid: host\n    x-onebox-allow: [pid]\n"
    assert "privileged: true" in str(refusal(text))


@pytest.mark.parametrize("value", ["all", "[all]", "{pid: true}", "[pid, everything]"])
def test_what_can_be_opened_is_a_list_of_known_names(value: str) -> None:
    assert "x-onebox-allow is a list of" in str(refusal(f"{SERVICE}    x-onebox-allow: {value}\n"))


def test_a_power_that_is_switched_off_is_no_power() -> None:
    assert parse_compose_file(f"{SERVICE}    privileged: false\n    cap_add: []\n    pid: ''\n").services


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        (f"{SERVICE}    imagee: x\n", "has imagee, which Compose does not know", "Did you mean image?"),
        (f"{SERVICE}    env_file: .env\n", "which a release cannot contain", "stack's config"),
        (f"{SERVICE}    extends: {{file: base.yml, service: api}}\n", "a release cannot contain", "itself"),
        (f"{SERVICE}    deploy: {{replicas: 3}}\n", "a release cannot contain", "mem_limit"),
        (f"include: [other.yml]\n{SERVICE}", "docker-compose.yml has include", "itself"),
        (f"service: {{}}\n{SERVICE}", "docker-compose.yml has service, which", "Did you mean services?"),
    ],
)
def test_a_key_that_means_nothing_here_is_refused_by_name(text: str, sentence: str, hint: str) -> None:
    error = refusal(text)
    assert sentence in str(error)
    assert hint in error.hint


@pytest.mark.parametrize("image", ["postgres", "postgres:latest", "registry.example:5000/team/db", "a:b:c"])
def test_an_image_that_moves_is_refused(image: str) -> None:
    assert "without a fixed version" in str(refusal(SERVICE + PULLED % image))


@pytest.mark.parametrize(
    "image", ["postgres:17.2", "registry.example:5000/team/db:1", f"postgres@sha256:{'a' * 64}"]
)
def test_an_image_of_a_fixed_version_is_accepted(image: str) -> None:
    assert len(parse_compose_file(SERVICE + PULLED % image).services) == 2


@pytest.mark.parametrize(
    ("first", "second", "port"),
    [
        ('["5000:5000"]', '["5000:80"]', "5000/tcp"),
        ('["127.0.0.1:5000:5000"]', "[{published: 5000, target: 80}]", "5000/tcp"),
        ('["5000-5002:80-82"]', '["5001:80"]', "5001/tcp"),
        ('["53:53/udp"]', '["[::1]:53:53/udp"]', "53/udp"),
    ],
)
def test_two_services_cannot_take_the_same_port_of_the_host(first: str, second: str, port: str) -> None:
    text = f"{SERVICE}    ports: {first}\n{PULLED % 'db:1'}    ports: {second}\n"
    assert f"services api and db both publish port {port}" in str(refusal(text))


def test_one_number_may_be_taken_for_tcp_and_for_udp() -> None:
    assert parse_compose_file(f'{SERVICE}    ports: ["53:53", "53:53/udp", "8080"]\n').services


def test_the_port_of_the_hosts_own_ssh_cannot_be_taken() -> None:
    assert "port 22" in str(refusal(f'{SERVICE}    ports: ["22:2222"]\n'))


@pytest.mark.parametrize("scalar", ["no", "Yes", "on", "010", "22:22", "1_0:30"])
def test_a_scalar_that_readers_of_yaml_understand_differently_is_refused(scalar: str) -> None:
    error = refusal(f"{SERVICE}    environment: {{WEIGHT: {scalar}}}\n")
    assert f"line 6: {scalar} without quotes" in str(error)


@pytest.mark.parametrize(
    "scalar", ['"no"', "'010'", "true", "0", "10", "0.5", "-1", "north", "5000:5000x", "y", "N"]
)
def test_a_scalar_with_one_meaning_is_accepted(scalar: str) -> None:
    assert parse_compose_file(f"{SERVICE}    environment: {{WEIGHT: {scalar}}}\n").services


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    error = refusal(f"{SERVICE}  api:\n    image: x:1\n")
    assert "has api twice, on lines 2 and 6" in str(error)


def test_a_tab_is_refused_with_its_line() -> None:
    assert "not valid YAML (line 6)" in str(refusal(f"{SERVICE}\tinit: true\n"))


def test_a_yaml_bomb_is_refused_without_being_resolved() -> None:
    levels = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    levels += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 40)]
    assert "multiply to more than" in str(refusal("\n".join(levels) + "\n" + SERVICE))


def test_an_anchor_that_contains_itself_is_refused() -> None:
    assert "contains itself" in str(refusal(f"x-a: &a [*a]\n{SERVICE}"))


def test_nesting_without_end_is_refused() -> None:
    assert "not valid YAML" in str(refusal(f"x-a: {'[' * 5000}\n"))


def test_a_file_beyond_all_measure_is_refused() -> None:
    assert "larger than 256 KiB" in str(refusal(f"# {'x' * 300_000}\n{SERVICE}"))


@pytest.mark.parametrize(
    "text", ["", "- a", "services: {}", "services: []", "services: {api: }", "!!python/name:os.system x"]
)
def test_what_is_no_compose_file_is_refused(text: str) -> None:
    refusal(text)


def test_what_is_refused_is_refused_before_the_host_is_asked(
    project: Path, tmp_path: Path, make_key: Any
) -> None:
    def connect(*_: Any, **__: Any) -> NoReturn:
        pytest.fail("the host was asked")

    host_key = make_key(tmp_path / "host_key")
    make_key(tmp_path / "login_key")
    target = Target("192.0.2.7", "admin", tmp_path / "login_key", (host_key,))
    file = project / "docker-compose.yml"
    file.write_text(f"{file.read_text()}include: [other.yml]\n")

    with pytest.raises(ReleaseError, match="a release cannot contain"):
        push_release(PushSettings(target, project), connector=connect)
