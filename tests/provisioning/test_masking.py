"""What a plan shows never holds a secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.redaction import MASK, Mask, looks_secret


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "DB_PASSWORD", "db-password", "apiKey", "API_KEY", "AWS_ACCESS_KEY", "clientSecret"),
        *("token", "GITHUB_TOKEN_2", "credentials", "SENTRY_DSN", "private_key", "basic.auth"),
    ],
)
def test_a_name_that_promises_a_secret_is_one(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["MODEL_V1_WEIGHT", "API_URL", "author", "tokenizer", "keyboard", "secretary", "monkey", "salty"]
)
def test_a_name_that_only_sounds_like_one_is_shown(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=***"),
        ("export API_TOKEN='a b c'", "export API_TOKEN=***"),
        ("      API_KEY: very long value # note", "      API_KEY: ***"),
        ("      - API_KEY=abc", "      - API_KEY=***"),
        ('  "clientSecret": "x", ', '  "clientSecret": ***'),
        ("connect(user='ann', password='pw', port=5)", "connect(user='ann', password=***, port=5)"),
        ("url = postgres://ann:pw@db/x", "url = postgres://ann:***@db/x"),
        ("MODEL_V1_WEIGHT=70", "MODEL_V1_WEIGHT=70"),
        ("API_KEY: ${API_KEY}", "API_KEY: ${API_KEY}"),
        ("KEY: ${API_KEY:-hunter2}, API_KEY: ${K:-hunter2}", "KEY: ${API_KEY:-hunter2}, API_KEY: ***"),
        ("tokenizer = 5", "tokenizer = 5"),
    ],
)
def test_a_line_shows_the_name_and_hides_the_value(line: str, shown: str) -> None:
    assert Mask.of(()).text(line) == shown


def test_the_value_of_a_known_secret_is_hidden_wherever_it_stands() -> None:
    mask = Mask.of(["s3cr3t-value", "first line\nsecond line"])

    assert mask.text("print('s3cr3t-value')") == "print('***')"
    assert mask.text("# second line is here") == "# *** is here"


def test_a_short_secret_is_hidden_only_where_it_stands_alone() -> None:
    assert Mask.of(["ab"]).text("ab cab ab") == "*** cab ***"


def test_a_private_key_is_hidden_whole() -> None:
    text = [
        "x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "AAAA",
        "BBBB",
        "-----END OPENSSH PRIVATE KEY-----",
        "y",
    ]

    assert Mask.of(()).lines(text) == ("x", text[1], MASK, MASK, text[4], "y")


def test_a_block_of_yaml_under_a_secret_name_is_hidden_whole() -> None:
    text = ["a: 1", "password: |", "  line one", "", "  line two", "b: 2"]

    assert Mask.of(()).lines(text) == ("a: 1", "password: ***", MASK, "", MASK, "b: 2")


@given(
    st.text(min_size=4).filter(lambda text: text.strip() and not set(text) <= set("*")), st.text(), st.text()
)
def test_no_line_ever_shows_a_known_value(value: str, before: str, after: str) -> None:
    for part in value.splitlines():
        if len(part) > 3 and part.strip():
            line = Mask.of([value]).text(before + part + after)
            assert part not in line.replace(MASK, "\0") or part in MASK
