"""The OpenAPI document is right: random requests get only responses that it describes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from app.api.docs import PAGE, POLICY
from app.keys import Keys
from app.settings import ApiSettings
from tests.app.servers import Client, Servers, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.app.conftest import MakeClient

EXAMPLES = 40
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OPERATIONS = [
    ("POST", "/predict", RIGHT),
    ("POST", "/predict", WRONG),
    ("PUT", "/config", RIGHT),
    ("PUT", "/config", WRONG),
    ("GET", "/config", RIGHT),
    ("GET", "/ready", RIGHT),
    ("GET", "/drift", RIGHT),
    ("GET", "/experiment", RIGHT),
    ("GET", "/predictions", RIGHT),
    ("GET", "/predictions", WRONG),
    ("POST", "/feedback", RIGHT),
    ("POST", "/feedback", WRONG),
]


@pytest.fixture(scope="module")
def servers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    state = tmp_path_factory.mktemp("state")
    boss = Keys((hashlib.sha256(b"boss").hexdigest(),))
    with running(ApiSettings(models_dir=trained, state_dir=state, admin_keys=boss)) as both:
        yield both


@pytest.mark.process
@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_no_drawn_request_finds_an_answer_that_was_not_promised(
    method: str, path: str, mode: GenerationMode, servers: Servers
) -> None:
    operation = schemathesis.openapi.from_url(f"http://127.0.0.1:{servers.direct}/openapi.json")[path][method]
    statuses: dict[int, int] = {}

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(headers={"Authorization": "Bearer boss"} if method == "PUT" else {})
        # Its list of refusals lacks 413.
        case.validate_response(
            answer, excluded_checks=[negative_data_rejection] if answer.status_code == 413 else []
        )
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

    ask()
    print(f"{method} {path}, {mode.value} requests: {statuses}")


def test_every_route_is_in_the_document_and_in_the_index(make_client: MakeClient) -> None:
    client = make_client()
    document = client.get("/openapi.json").get_json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    rules = client.application.url_map.iter_rules()
    routed = {
        (method, rule.rule) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    about = {("GET", path) for path in ("/", "/docs", "/openapi.json")}
    assert routed - about == described
    index = {tuple(name.split()) for name in client.get("/").get_json()["endpoints"]}
    assert index | {("GET", "/"), ("PUT", "/config")} >= routed - {("GET", "/")}


def test_names_and_ranges_are_those_of_the_models(make_client: MakeClient) -> None:
    document = make_client().get("/openapi.json").get_json()
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    in_order, by_name = schema["oneOf"][0]["properties"]["features"]["oneOf"]
    assert len(in_order["prefixItems"]) == 4
    assert "petal width (cm)" in by_name["required"]


def test_the_page_runs_nothing_but_its_own_script(servers: Servers) -> None:
    with Client(servers.direct) as client:
        answer = client.ask(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
    policies = [value for name, value in answer.headers if name == "content-security-policy"]
    assert policies == [POLICY]
    assert "unsafe-inline" not in POLICY
    assert "://" not in PAGE
    assert json.loads(json.dumps(answer.body.decode())) == PAGE
