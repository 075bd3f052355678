from __future__ import annotations

import pytest

from ui.errors import SettingsError
from ui.settings import UiSettings


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:5000"),
        ({"API_URL": " "}, "http://localhost:5000"),
        ({"API_URL": "http://flask-api:5000/"}, "http://flask-api:5000"),
        ({"API_URL": "https://models.example/api"}, "https://models.example/api"),
    ],
)
def test_the_api_is_where_api_url_says(environ: dict[str, str], url: str) -> None:
    assert UiSettings.from_environ(environ).api_url == url


@pytest.mark.parametrize(
    "text",
    [
        "flask-api:5000",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://[::1",
        "http://user:s3cret@host",
        "http://host/?a=1",
        "http://host/#top",
    ],
)
def test_another_api_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsError, match="API_URL") as refused:
        UiSettings.from_environ({"API_URL": text})
    assert refused.value.name == "API_URL"
    assert "s3cret" not in str(refused.value)
