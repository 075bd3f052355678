"""The stack's configuration is read whole or refused with one sentence a problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.settings import ConfigError, StackSettings

if TYPE_CHECKING:
    from tests.infra.conftest import Configure


def test_a_port_without_cidrs_is_closed(configure: Configure) -> None:
    settings = configure()
    assert settings.open_ports == {22}
    assert settings.cidrs["prometheus"] == ()


def test_each_port_has_its_own_list(configure: Configure) -> None:
    settings = configure(apiCidrs=["10.0.0.0/8"], uiCidrs=["192.0.2.0/24", "2001:db8::/32"])
    assert settings.cidrs["api"] == ("10.0.0.0/8",)
    assert settings.cidrs["ui"] == ("192.0.2.0/24", "2001:db8::/32")
    assert settings.open_ports == {22, 5000, 8501}


def test_the_world_gets_in_only_by_name(configure: Configure) -> None:
    assert configure(apiCidrs=["0.0.0.0/0"], openToTheWorld=["api"]).cidrs["api"] == ("0.0.0.0/0",)


def test_settings_that_are_declared_without_a_value_count_as_not_set(configure: Configure) -> None:
    settings = configure(amiId="", registryMirror="", awsPluginVersion="")
    assert (settings.ami_id, settings.registry_mirror, settings.aws_plugin_version) == (None, None, None)


def test_the_login_user_follows_the_operating_system(configure: Configure) -> None:
    assert configure().ssh_user == "admin"
    assert configure(os="amazon-linux-2023").ssh_user == "ec2-user"


def test_weights_reach_the_services_under_their_names(configure: Configure) -> None:
    settings = configure(modelV1Weight="90", modelV2Weight="10")
    assert settings.service_environment == {"MODEL_V1_WEIGHT": "90", "MODEL_V2_WEIGHT": "10"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("instanceType", "t3.mediun", "'t3.mediun' is not an instance type of EC2; did you mean t3.medium?"),
        ("sshCidrs", [], "sshCidrs: empty"),
        ("sshCidrs", ["0.0.0.0/0"], "opens port 22 to the world"),
        ("prometheusCidrs", ["::/0"], "opens port 9090 to the world"),
        ("apiCidrs", ["0.0.0.0/1", "128.0.0.0/1"], "opens port 5000 to the world"),
        ("apiCidrs", ["10.0.0.1/8"], "has host bits set; did you mean 10.0.0.0/8?"),
        ("apiCidrs", ["1.2.3.4"], "is an address, not a CIDR; did you mean 1.2.3.4/32?"),
        ("apiCidrs", ["office"], "'office' is not a CIDR such as 203.0.113.7/32"),
        ("apiCidrs", ["10.0.0.0/8", "10.0.0.0/8"], "is listed twice"),
        ("apiCidrs", [f"10.0.{n}.0/24" for n in range(60)], "60 CIDRs are more than"),
        ("modelV1Weight", "-1", "modelV1Weight: input should be greater than or equal to 0"),
        ("modelV1Weight", "101", "modelV1Weight: input should be less than or equal to 100"),
        ("modelV1Weight", "0.5", "modelV1Weight: input should be a valid integer"),
        ("modelV1Weight", "many", "modelV1Weight: input should be a valid integer"),
        ("volumeSizeGb", "4", "volumeSizeGb: input should be greater than or equal to 12"),
        ("os", "debian-12", "os: input should be 'debian-13' or 'amazon-linux-2023'"),
        ("amiId", "debian", "amiId: string should match pattern"),
        ("tags", {"aws:thing": "x"}, "names that begin with aws: belong to AWS"),
        ("tags", {"größe": "x"}, "only ASCII characters"),
        ("tags", {f"t{n}": "x" for n in range(41)}, "41 tags"),
        ("sshPublicKeyFile", "nowhere.pub", "sshPublicKeyFile: there is no file"),
        ("sshPublicKeyFile", "~no-such-user/key.pub", "sshPublicKeyFile: there is no file"),
        ("sshPrivateKeyFile", "nowhere", "sshPrivateKeyFile: there is no file"),
        ("extraCaFiles", ["nowhere.crt"], "extraCaFiles: there is no file nowhere.crt"),
        ("registryMirror", "mirror:5000", "registryMirror: string should match pattern"),
        (
            "instanceTyp",
            "t3.medium",
            "onebox:instanceTyp: there is no such setting; did you mean instanceType?",
        ),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(
    configure: Configure, name: str, value: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configure({name: value})
    assert len(refused.value.problems) == 1
    assert sentence in refused.value.problems[0]
    assert f"onebox:{name}" in refused.value.problems[0] or name in sentence or "port" in sentence


def test_two_weights_of_zero_are_refused(configure: Configure) -> None:
    with pytest.raises(ConfigError, match="both are 0, so no model would answer"):
        configure(modelV1Weight="0", modelV2Weight="0")


def test_a_missing_setting_is_named(config: dict[str, str], tmp_path: Path) -> None:
    del config["onebox:sshCidrs"]
    with pytest.raises(ConfigError, match="onebox:sshCidrs: is required, but not set"):
        StackSettings.from_config(config, tmp_path)


def test_a_private_key_in_the_place_of_the_public_one_is_refused_and_not_shown(
    configure: Configure, key_files: tuple[Path, Path]
) -> None:
    private, _ = key_files
    with pytest.raises(ConfigError, match="is a private key; the public key is required") as refused:
        configure(sshPublicKeyFile=str(private))
    assert private.read_text().splitlines()[1] not in str(refused.value)


def test_a_private_key_that_others_can_read_is_refused_with_the_cure(
    configure: Configure, key_files: tuple[Path, Path]
) -> None:
    private, _ = key_files
    private.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others; run: chmod 600"):
        configure()


def test_a_public_key_where_the_private_one_is_due_is_refused(
    configure: Configure, key_files: tuple[Path, Path]
) -> None:
    _, public = key_files
    public.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a private key"):
        configure(sshPrivateKeyFile=str(public))


def test_every_problem_gets_its_sentence(configure: Configure) -> None:
    with pytest.raises(ConfigError) as refused:
        configure(instanceType="t3", volumeSizeGb="1")
    assert len(refused.value.problems) == 2


JUMP_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_a_jump_host_comes_with_its_key(configure: Configure) -> None:
    login = configure(sshJump="me@jump.example:2222", sshJumpHostKey=JUMP_KEY).login()
    assert login.properties("ssh_")["ssh_jump"] == "me@jump.example:2222"
    assert login.properties("ssh_")["ssh_jump_host_key"] == JUMP_KEY


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sshJump": "jump.example", "sshJumpHostKey": JUMP_KEY}, "sshJump: jump host 'jump.example' is not"),
        (
            {"sshJump": "me@-oProxyCommand=id", "sshJumpHostKey": JUMP_KEY},
            "sshJump: host '-oProxyCommand=id'",
        ),
        (
            {"sshJump": "me@jump.example"},
            "sshJumpHostKey: the host key of the jump host jump.example is not set",
        ),
        (
            {"sshJump": "me@h", "sshJumpHostKey": "ssh-dss AAAA"},
            "sshJumpHostKey: host key 'ssh-dss AAAA' is not",
        ),
        ({"sshJumpHostKey": JUMP_KEY}, "sshJumpHostKey: there is no sshJump"),
        ({"serviceEnv": {"MODEL_V1_WEIGHT": "5"}}, "serviceEnv: MODEL_V1_WEIGHT is set by modelV1Weight"),
    ],
)
def test_an_invalid_jump_host_or_value_is_refused(
    configure: Configure, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configure(values)
    assert sentence in str(refused.value)


def test_without_a_private_key_file_the_key_comes_from_the_agent(
    config: dict[str, str], tmp_path: Path
) -> None:
    config["onebox:sshPrivateKeyFile"] = ""
    login = StackSettings.from_config(config, tmp_path).login()
    assert login.private_key_file is None
    assert login.public_key.startswith("ssh-ed25519 ")


def test_plain_values_for_the_services_stand_beside_the_weights(configure: Configure) -> None:
    settings = configure(serviceEnv={"LOG_LEVEL": "debug"})
    assert settings.service_environment == {
        "MODEL_V1_WEIGHT": "50",
        "MODEL_V2_WEIGHT": "50",
        "LOG_LEVEL": "debug",
    }


def test_secrets_for_the_services_do_not_show(config: dict[str, str], tmp_path: Path) -> None:
    config["onebox:serviceSecrets"] = '{"api_token": "canary-17"}'
    settings = StackSettings.from_config(config, tmp_path, {"onebox:serviceSecrets"})
    assert settings.secret_values == {"api_token": "canary-17"}
    assert "canary-17" not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    ("text", "keys", "sentence"),
    [
        ('{"api_token": "canary-17"}', set(), "serviceSecrets: is in plain text"),
        ('{"api_token": ""}', {"onebox:serviceSecrets"}, "serviceSecrets: api_token is empty"),
        (
            '{"api_token": ["canary-17"]}',
            {"onebox:serviceSecrets"},
            "serviceSecrets.api_token: input should be",
        ),
        ("canary-17", {"onebox:serviceSecrets"}, "serviceSecrets: input should be a valid dictionary"),
    ],
)
def test_secrets_that_cannot_be_used_are_refused_and_not_shown(
    config: dict[str, str], tmp_path: Path, text: str, keys: set[str], sentence: str
) -> None:
    config["onebox:serviceSecrets"] = text
    with pytest.raises(ConfigError) as refused:
        StackSettings.from_config(config, tmp_path, keys)
    assert sentence in str(refused.value)
    assert "canary-17" not in str(refused.value)


def test_no_secrets_need_no_encryption(configure: Configure) -> None:
    assert configure(serviceSecrets={}).secret_values == {}
