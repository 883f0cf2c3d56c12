"""The OpenAPI document is complete, and the server keeps to it whatever it is asked."""

from typing import cast

import pytest
import schemathesis
from examples.http_app.app import create_app
from hypothesis import HealthCheck, settings
from schemathesis import checks

from isomix import Studio

EXAMPLES = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ANSWERS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
"""What concerns answers alone; whether a made-up recording ought to be taken, no schema says."""

schema = schemathesis.openapi.from_dict(create_app(cast("Studio", None)).openapi())


@schema.auth()
class _AnnsKey:
    def get(self, case, context):
        return "key-of-ann"

    def set(self, case, data, context):
        case.headers["X-API-Key"] = data


@schema.exclude(path="/upload").parametrize()
@EXAMPLES
def test_whatever_is_asked_the_answer_is_as_documented(served, case):
    """No request, right or wrong, gets a 5xx, passes without its key, or is answered as the document does not say."""
    case.call_and_validate(base_url=served.url)


@schema.include(path="/upload").parametrize()
@EXAMPLES
def test_whatever_is_uploaded_the_answer_is_as_documented(served, case):
    """No form gets a 5xx or an answer that the document does not describe."""
    case.call_and_validate(base_url=served.url, checks=ANSWERS)


@pytest.fixture(scope="module")
def ready(served, noise):
    """Return a project that is ready."""
    return served.wait(served.upload(noise(2)))


@schema.include(path_regex="project_id|export").exclude(method="DELETE").parametrize()
@EXAMPLES
def test_a_real_project_is_answered_as_documented(served, ready, case):
    """Made-up options on a project that is there get neither a 5xx nor an answer that is not described."""
    known = {"project_id": ready["project_id"], "attempt": ready["attempt"], "name": "vocals"}
    for name in known.keys() & case.path_parameters.keys():
        case.path_parameters[name] = known[name]
    if isinstance(case.body, dict) and "project_id" in case.body:
        case.body["project_id"] = known["project_id"]
    case.call_and_validate(base_url=served.url, checks=ANSWERS)


def test_every_route_is_described():
    """Each operation documents its success, its problems and its key, but for health, which needs none."""
    document = schema.raw_schema
    assert len(document["paths"]) == 14
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert any(code.startswith("2") for code in operation["responses"]), path
            assert path == "/health" or {"401", "422", "500"} <= operation["responses"].keys(), path
            assert path == "/health" or len(operation["security"]) == 3, path
            for code, response in operation["responses"].items():
                assert int(code) < 400 or path == "/health" or "application/problem+json" in response["content"], path
    assert {"title", "status", "detail", "code"} <= set(document["components"]["schemas"]["Problem"]["required"])
