from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import ApiSettings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = ApiSettings.from_environ({})
    assert settings.weights == (50, 50)
    assert (settings.port, settings.workers, settings.log_level) == (5000, 2, "INFO")
    assert settings.service_digest == "dev"
    assert settings.models_dir.parts[-2:] == ("app", "artifacts")
    assert settings.state_dir.parts[-2:] == (".onebox", "api")
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("runtime", "state"),
    [
        ("/run/user/7", Path("/run/user/7/onebox")),
        ("", ApiSettings.from_environ({}).state_dir),
        ("run/user/7", ApiSettings.from_environ({}).state_dir),
        ("~", ApiSettings.from_environ({}).state_dir),
    ],
)
def test_an_absolute_runtime_directory_holds_the_state(runtime: str, state: Path) -> None:
    assert ApiSettings.from_environ({"XDG_RUNTIME_DIR": runtime}).state_dir == state


def test_every_setting_can_be_given() -> None:
    settings = ApiSettings.from_environ(
        {
            "MODEL_V1_WEIGHT": "90",
            "MODEL_V2_WEIGHT": "10",
            "ONEBOX_MODELS_DIR": "/m",
            "ONEBOX_STATE_DIR": "/s",
            "ONEBOX_SERVICE_DIGEST": "abc",
            "API_PORT": "8080",
            "API_WORKERS": "4",
            "LOG_LEVEL": "debug",
            "PATH": "/bin",
        }
    )
    assert settings == ApiSettings((90, 10), Path("/m"), Path("/s"), "abc", 8080, 4, "DEBUG", ())


@pytest.mark.parametrize("weights", [("0", "100"), ("100", "0"), ("1", "0"), ("100", "100"), ("007", "3")])
def test_whole_weights_with_a_sum_above_zero_are_taken(weights: tuple[str, str]) -> None:
    settings = ApiSettings.from_environ({"MODEL_V1_WEIGHT": weights[0], "MODEL_V2_WEIGHT": weights[1]})
    assert settings.weights == (int(weights[0]), int(weights[1]))


@pytest.mark.parametrize("name", ["MODEL_V1_WEIGHT", "MODEL_V2_WEIGHT"])
@pytest.mark.parametrize(
    "text",
    ["", " ", "0.5", "-1", "101", "NaN", "inf", "1e2", "+5", " 5", "5\n", "1_0", "٥", "fifty", "9" * 900],
)
def test_a_weight_that_is_no_whole_number_up_to_100_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ApiSettings.from_environ({name: text})
    assert caught.value.name == name
    assert str(caught.value).startswith(f"{name} must be a whole number from 0 to 100")
    assert str(caught.value).count(". ") == 0
    assert len(str(caught.value)) < 120


def test_two_weights_of_zero_are_refused() -> None:
    with pytest.raises(SettingsError, match="both 0"):
        ApiSettings.from_environ({"MODEL_V1_WEIGHT": "0", "MODEL_V2_WEIGHT": "0"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("API_PORT", "0"),
        ("API_PORT", "70000"),
        ("API_PORT", "abc"),
        ("API_WORKERS", "0"),
        ("API_WORKERS", "65"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVEL", ""),
        ("ONEBOX_MODELS_DIR", ""),
        ("ONEBOX_STATE_DIR", " "),
        ("ONEBOX_SERVICE_DIGEST", ""),
    ],
)
def test_a_value_that_cannot_be_served_with_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        ApiSettings.from_environ({name: text})
    assert caught.value.name == name


def test_a_misspelt_name_is_warned_about_with_the_nearest_name() -> None:
    settings = ApiSettings.from_environ({"MODEL_V1_WIEGHT": "1", "API_ZZZZZZZZ": "1", "OTHER": "1"})
    assert settings.warnings == (
        "API_ZZZZZZZZ is not a setting of this service.",
        "MODEL_V1_WIEGHT is not a setting of this service; did you mean MODEL_V1_WEIGHT?",
    )
