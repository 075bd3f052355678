"""Invalid requests: always 4xx with a problem that names the error, never a prediction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.errors import InvalidRequestError
from app.inference.decode import RowDecoder
from app.manifest import FeatureSpec

if TYPE_CHECKING:
    from flask.testing import FlaskClient

LENGTH, WIDTH, PETAL_LENGTH, PETAL_WIDTH = NAMES = (
    "sepal length (cm)",
    "sepal width (cm)",
    "petal length (cm)",
    "petal width (cm)",
)


def named(**changes: str) -> bytes:
    """A good body by name, with values replaced by raw JSON; "" leaves a feature out."""
    values = dict(zip(NAMES, ["5.1", "3.5", "1.4", "0.2"], strict=True))
    values |= {NAMES[int(key[1:])]: value for key, value in changes.items()}
    return ('{"features": {' + ", ".join(f'"{k}": {v}' for k, v in values.items() if v) + "}}").encode()


def listed(*values: str) -> bytes:
    return ('{"features": [' + ", ".join(values) + "]}").encode()


def batch(*rows: str) -> bytes:
    return ('{"instances": [' + ", ".join(rows) + "]}").encode()


CASES: dict[str, tuple[bytes, int, str, str | None]] = {
    "empty body": (b"", 400, "empty_body", None),
    "white space": (b" \n", 400, "empty_body", None),
    "not JSON": (b"features=5.1", 400, "malformed_json", None),
    "cut off": (b'{"features": [5.1, 3.5', 400, "malformed_json", None),
    "trailing comma": (b'{"features": [5.1, 3.5, 1.4, 0.2,]}', 400, "malformed_json", None),
    "two documents": (listed("5.1", "3.5", "1.4", "0.2") * 2, 400, "malformed_json", None),
    "byte order mark": (b"\xef\xbb\xbf" + listed("5.1", "3.5", "1.4", "0.2"), 400, "malformed_json", None),
    "bad UTF-8": (b'{"features": {"\xff": 1}}', 400, "bad_encoding", None),
    "UTF-16": ('{"features": [5.1, 3.5, 1.4, 0.2]}'.encode("utf-16"), 400, "bad_encoding", None),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", 400, "bad_encoding", None),
    "duplicate top key": (
        b'{"features": [1], "features": [5.1,3.5,1.4,0.2]}',
        400,
        "duplicate_key",
        "features",
    ),
    "duplicate escaped key": (
        b'{"features": [1], "\\u0066eatures": [5.1,3.5,1.4,0.2]}',
        400,
        "duplicate_key",
        "features",
    ),
    "duplicate feature": (
        named().replace(b'"features": {', b'"features": {"petal width (cm)": 9, '),
        400,
        "duplicate_key",
        PETAL_WIDTH,
    ),
    "list on top": (b"[5.1, 3.5, 1.4, 0.2]", 422, "wrong_shape", None),
    "string on top": (b'"x"', 422, "wrong_shape", None),
    "null on top": (b"null", 422, "wrong_shape", None),
    "no features": (b"{}", 422, "missing_field", "features"),
    "other key": (b'{"feature": [5.1, 3.5, 1.4, 0.2]}', 422, "unknown_field", "feature"),
    "both": (b'{"features": [5.1, 3.5, 1.4, 0.2], "instances": []}', 422, "wrong_shape", "instances"),
    "empty batch": (b'{"instances": []}', 422, "wrong_count", "instances"),
    "too large a batch": (batch(*["[5.1, 3.5, 1.4, 0.2]"] * 1001), 422, "wrong_count", "instances"),
    "batch of numbers": (batch("5.1", "3.5", "1.4", "0.2"), 422, "wrong_type", "instances[0]"),
    "batch null": (b'{"instances": null}', 422, "wrong_type", "instances"),
    "batch by number": (b'{"instances": {"0": [5.1, 3.5, 1.4, 0.2]}}', 422, "wrong_type", "instances"),
    "short row in a batch": (batch("[5.1, 3.5, 1.4, 0.2]", "[5.1]"), 422, "wrong_count", "instances[1]"),
    "string in a batch": (
        batch("[5.1, 3.5, 1.4, 0.2]", '[5.1, "3.5", 1.4, 0.2]'),
        422,
        "wrong_type",
        f"instances[1].{WIDTH}",
    ),
    "range in a batch": (
        batch("[5.1, 3.5, 1.4, 0.2]", "[5.1, 3.5, 1400, 0.2]"),
        422,
        "out_of_range",
        f"instances[1].{PETAL_LENGTH}",
    ),
    "duplicate in a batch": (
        batch("[5.1, 3.5, 1.4, 0.2]", '{"petal width (cm)": 1, "petal width (cm)": 1}'),
        400,
        "duplicate_key",
        PETAL_WIDTH,
    ),
    "extra key": (b'{"features": [5.1, 3.5, 1.4, 0.2], "user": 1}', 422, "unknown_field", "user"),
    "features null": (b'{"features": null}', 422, "wrong_type", "features"),
    "features string": (b'{"features": "5.1"}', 422, "wrong_type", "features"),
    "no rows": (b'{"features": []}', 422, "wrong_count", "features"),
    "three features": (listed("5.1", "3.5", "1.4"), 422, "wrong_count", "features"),
    "five features": (listed("5.1", "3.5", "1.4", "0.2", "1"), 422, "wrong_count", "features"),
    "nested list": (b'{"features": [[5.1, 3.5, 1.4, 0.2]]}', 422, "wrong_type", LENGTH),
    "missing feature": (named(f2=""), 422, "missing_field", PETAL_LENGTH),
    "no feature at all": (b'{"features": {}}', 422, "missing_field", LENGTH),
    "extra feature": (named().replace(b"}}", b', "age": 3}}'), 422, "unknown_field", "age"),
    "misspelt feature": (
        named().replace(b"sepal width", b"sepal widht"),
        422,
        "unknown_field",
        "sepal widht (cm)",
    ),
    "half a surrogate pair": (b'{"features": {"\\ud800": 1}}', 422, "unknown_field", "\\ud800"),
    "null feature": (named(f1="null"), 422, "wrong_type", WIDTH),
    "string number": (listed('"5.1"', "3.5", "1.4", "0.2"), 422, "wrong_type", LENGTH),
    "true": (listed("5.1", "true", "1.4", "0.2"), 422, "wrong_type", WIDTH),
    "false by name": (named(f3="false"), 422, "wrong_type", PETAL_WIDTH),
    "object": (named(f3="{}"), 422, "wrong_type", PETAL_WIDTH),
    "NaN": (listed("5.1", "3.5", "NaN", "0.2"), 422, "not_finite", PETAL_LENGTH),
    "Infinity": (listed("5.1", "3.5", "1.4", "Infinity"), 422, "not_finite", PETAL_WIDTH),
    "minus infinity": (named(f0="-Infinity"), 422, "not_finite", LENGTH),
    "1e999": (listed("1e999", "3.5", "1.4", "0.2"), 422, "not_finite", LENGTH),
    "integer of 900 digits": (listed("9" * 900, "3.5", "1.4", "0.2"), 422, "not_finite", LENGTH),
    "integer of 5000 digits": (named(f1="-" + "9" * 5000), 422, "not_finite", WIDTH),
    "1e308": (listed("1e308", "3.5", "1.4", "0.2"), 422, "out_of_range", LENGTH),
    "millimetres for metres": (named(f2="1400"), 422, "out_of_range", PETAL_LENGTH),
    "deep lists": (b'{"features": ' + b"[" * 60_000, 400, "malformed_json", None),
    "deep closed lists": (b'{"features": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, "too_deep", None),
    "deep objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "too_deep", None),
    "too large": (b" " * (64 * 1024 + 1), 413, "too_large", None),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_refused_with_its_name_and_is_no_prediction(case: str, client: FlaskClient) -> None:
    body, status, reason, field = CASES[case]
    answer = client.post("/predict", data=body, content_type="application/json")
    assert answer.content_type == "application/problem+json"
    problem = msgspec.json.decode(answer.data)
    # Depth that the parser survives on one Python version runs into its limit on another.
    depth = case.startswith("deep")
    assert (answer.status_code, problem.get("field")) == (status, field) or depth
    assert 400 <= answer.status_code < 500
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert 0 < len(problem["detail"]) < 300
    samples = samples_of(client)
    assert samples["prediction_requests_total", ""] == 0
    assert samples["prediction_errors_total", ""] == 0
    assert samples["prediction_latency_seconds_count", ""] == 0
    assert samples["model_drift_window_rows", ""] == 0
    assert samples["invalid_requests_total", reason] == 1 or depth


def test_the_nearest_name_is_offered_for_a_misspelt_feature(client: FlaskClient) -> None:
    answer = client.post("/predict", json={"features": {"sepal lenght (cm)": 1}})
    assert "did you mean 'sepal length (cm)'?" in msgspec.json.decode(answer.data)["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_content_type_is_refused(kind: str, client: FlaskClient) -> None:
    answer = client.post("/predict", data=b'{"features": [5.1, 3.5, 1.4, 0.2]}', content_type=kind)
    assert answer.status_code == 415
    assert answer.content_type == "application/problem+json"
    assert samples_of(client)["invalid_requests_total", "content_type"] == 1


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/json;x=1"]
)
def test_json_may_carry_parameters(kind: str, client: FlaskClient) -> None:
    answer = client.post("/predict", data=b'{"features": [5.1, 3.5, 1.4, 0.2]}', content_type=kind)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "good",
    [
        listed("5.1", "3.5", "1.4", "0.2"),
        listed("5", "3", "1", "0"),
        listed("-0.0", "-0", "0e0", "5e-324"),
        listed("41.7", "-20", "64.9", "26.5"),
        named(),
        named(f0="5"),
        batch("[5.1, 3.5, 1.4, 0.2]"),
        batch(
            "[5.1, 3.5, 1.4, 0.2]",
            "[5, 3, 1, 0]",
            '{"petal width (cm)": 1, "sepal length (cm)": 5,"sepal width (cm)": 3, "petal length (cm)": 2}',
        ),
        b'{"\\u0066eatures": [5.1, 3.5, 1.4, 0.2]}',
        b' {\n"features"\t:[5.1,3.5,1.4,0.2]}\r\n',
    ],
)
def test_numbers_within_the_generous_limits_are_answered(good: bytes, client: FlaskClient) -> None:
    assert client.post("/predict", data=good, content_type="application/json").status_code == 200


def test_a_feature_name_with_a_colon_is_no_duplicate() -> None:
    decoder = RowDecoder([FeatureSpec("a:b", 0, 1, -10, 11), FeatureSpec('"', 0, 1, -10, 11)])
    assert one(decoder, b'{"features": {"\\"": 2, "a:b": 1}}') == [1.0, 2.0]
    assert one(decoder, b'{"features": {"\\"": 2, "a\\u003ab": 1}}') == [1.0, 2.0]
    with pytest.raises(InvalidRequestError, match="twice"):
        one(decoder, b'{"features": {"\\"": 2, "a:b": 1, "a\\u003ab": 1}}')


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_row_or_a_refusal(body: bytes) -> None:
    decoder = RowDecoder([FeatureSpec("a", 0, 1, -10, 11)])
    outcome = row_or_refusal(decoder, body)
    if isinstance(outcome, InvalidRequestError):
        assert 400 <= outcome.status < 500
        msgspec.json.encode([outcome.detail, outcome.field])
    else:
        assert len(outcome) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", "b", "features"]), inner)
    ),
    max_leaves=8,
)


@given(value=json_values)
@settings(max_examples=300, deadline=None)
def test_any_features_give_a_row_or_a_refusal(value: object) -> None:
    decoder = RowDecoder([FeatureSpec("a", 0, 1, -10, 11), FeatureSpec("b", 0, 1, -10, 11)])
    outcome = row_or_refusal(decoder, json.dumps({"features": value}).encode())
    if isinstance(outcome, InvalidRequestError):
        assert outcome.status in (400, 422)
    else:
        assert all(-10 <= number <= 11 for number in outcome)
        assert isinstance(value, list | dict)
        assert len(outcome) == len(value) == 2


def one(decoder: RowDecoder, body: bytes) -> list[float]:
    """The row of a body that has a single one."""
    (row,), batch = decoder.rows(body)
    assert not batch
    return row


def row_or_refusal(decoder: RowDecoder, body: bytes) -> list[float] | InvalidRequestError:
    try:
        return one(decoder, body)
    except InvalidRequestError as error:
        return error


def samples_of(client: FlaskClient) -> dict[tuple[str, str], float]:
    """(sample name, values of its labels joined by a comma) -> value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, ",".join(s.labels.values())): s.value for family in families for s in family.samples}
