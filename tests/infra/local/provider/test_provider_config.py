"""The provider's settings: what is taken, what is refused, and where it may talk to."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from infra.local.provider import VERSION, wire
from infra.local.provider.config import ProviderConfig
from infra.local.provider.errors import ConfigurationError, NotLocalError
from infra.local.provider.grpc.server import Provider
from tests.infra.local.provider.driver import Aborted, Context

LOCAL = {"region": "eu-central-1", "endpoints": '[{"ec2": "http://127.0.0.1:4577"}]'}


def test_the_engine_s_form_of_the_settings_is_understood() -> None:
    config = ProviderConfig.from_args(
        {
            **LOCAL,
            "accessKey": "a",
            "secretKey": "b",
            "skipCredentialsValidation": "true",
            "skipMetadataApiCheck": "true",
            "skipRequestingAccountId": True,
            "skipRegionValidation": "false",
            "defaultTags": '{"tags": {"project": "onebox"}}',
            "version": "7.51.2-rehearsal.1",
        }
    )
    assert config == ProviderConfig("eu-central-1", "http://127.0.0.1:4577", "a", "b", {"project": "onebox"})


def test_keys_never_show_in_a_printed_configuration() -> None:
    config = ProviderConfig.from_args({**LOCAL, "accessKey": "visible?", "secretKey": "visible?"})
    assert "visible?" not in repr(config)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_every_loopback_address_is_local(host: str) -> None:
    url = f"http://{host}:4577"
    assert ProviderConfig.from_args({**LOCAL, "endpoints": [{"ec2": url}]}).endpoint == url


@pytest.mark.parametrize(
    "endpoints",
    [
        None,
        [],
        [{}],
        "[]",
        [{"ec2": "https://ec2.eu-central-1.amazonaws.com"}],
        [{"ec2": "http://10.0.0.1:4577"}],
        [{"ec2": "http://0.0.0.0:4577"}],
        [{"ec2": "http://127.0.0.1.example.com"}],
        [{"ec2": "http://localhost@example.com"}],
        [{"ec2": "http://user@127.0.0.1:4577"}],
        [{"ec2": "http://127.0.0.1:port"}],
        [{"ec2": "file:///127.0.0.1"}],
        [{"ec2": 4577}],
        "http",
    ],
)
def test_anything_but_loopback_is_refused(endpoints: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProviderConfig.from_args({**LOCAL, "endpoints": endpoints})
    if endpoints != "http":
        assert isinstance(caught.value, NotLocalError)


def test_the_refusal_names_this_build_and_how_to_get_the_vendors() -> None:
    with pytest.raises(NotLocalError) as caught:
        ProviderConfig.from_args({"region": "eu-central-1"})
    sentence = caught.value.sentence()
    assert sentence.startswith(
        "this build of the AWS provider belongs to the rehearsal and only talks to a local cloud;"
    )
    assert "remove onebox:awsPluginVersion" in sentence
    assert sentence.endswith("pulumi plugin install resource aws v7.51.1")


@pytest.mark.parametrize(
    ("changed", "key", "message"),
    [
        ({"assumeRole": {}}, "assumeRole", "does not know the setting aws:assumeRole"),
        ({"acessKey": "a"}, "acessKey", "the nearest it knows is accessKey"),
        ({"region": ""}, "region", "aws:region is not set"),
        ({"skipRegionValidation": "maybe"}, "skipRegionValidation", "must be true or false"),
        ({"defaultTags": {"tag": {}}}, "defaultTags", "must be {tags: {name: text}}"),
        ({"defaultTags": "{"}, "defaultTags", "neither a structure nor JSON"),
        ({"secretKey": ""}, "secretKey", "must be a string that is not empty"),
        (
            {"endpoints": [{"ec2": "http://127.0.0.1:1", "s3": "http://127.0.0.1:1"}]},
            "endpoints",
            "has s3, but the rehearsal only speaks to ec2",
        ),
    ],
)
def test_an_unusable_setting_is_refused_by_name(changed: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("{", r"\{")) as caught:
        ProviderConfig.from_args({**LOCAL, **changed})
    assert caught.value.key == key


def test_configure_answers_with_the_refusal_as_its_status() -> None:
    with pytest.raises(Aborted, match="belongs to the rehearsal"):
        Provider().Configure(provider_pb2.ConfigureRequest(args=wire.encode({"region": "a"})), Context())


def test_check_of_the_settings_names_the_wrong_one() -> None:
    request = provider_pb2.CheckRequest(news=wire.encode({**LOCAL, "assumeRole": "x"}))
    assert [failure.property for failure in Provider().CheckConfig(request, Context()).failures] == [
        "assumeRole"
    ]


def test_configure_takes_secrets_and_previews() -> None:
    answer = Provider().Configure(provider_pb2.ConfigureRequest(args=wire.encode(LOCAL)), Context())
    assert (answer.acceptSecrets, answer.supportsPreview) == (True, True)
    assert (answer.acceptOutputs, answer.acceptResources) == (False, False)


def test_other_settings_never_replace_the_provider() -> None:
    request = provider_pb2.DiffRequest(
        old_inputs=wire.encode(LOCAL), news=wire.encode({**LOCAL, "region": "eu-west-1"})
    )
    answer = Provider().DiffConfig(request, Context())
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert not answer.replaces


def test_the_plugin_reports_its_version() -> None:
    assert Provider().GetPluginInfo(None, None).version == VERSION == "7.51.2-rehearsal.1"
