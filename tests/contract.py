"""Answers held against the OpenAPI document: status, media type, shape, error code, headers.

Invariant: what the document does not say of an operation is a failure, not a gap. Nothing of
catena is imported here: the judge is somebody else's validator over what is served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import httpx2
from openapi_schema_validator import OAS31Validator, oas31_format_checker

__all__ = ["Contract", "read_events", "read_problem"]

PROBLEM_JSON: Final = "application/problem+json"
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
PROBLEM_MEMBERS: Final = {"type", "code", "title", "status", "detail", "retryable", "request_id"}
WHERE_MEMBERS: Final = {
    "account_id",
    "line",
    "operation",
    "chain_id",
    "step",
    "attempt",
    "lien_id",
    "errors",
}
OURS: Final = {
    "allow",
    "etag",
    "idempotency-replayed",
    "link",
    "location",
    "retry-after",
    "www-authenticate",
}
"""Headers that say something of an answer; each is described where it can come."""
REQUEST_ID: Final = re.compile(r"req_[0-9a-f]{32}")


class Contract:
    """An OpenAPI document as the judge of answers."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._components = _close_schemas(document["components"])
        self._validators: dict[str, Any] = {}

    @cached_property
    def operations(self) -> list[tuple[str, str, re.Pattern[str], Mapping[str, Any]]]:
        """Method, path, what matches the path, and what is said of the operation."""
        return [
            (method.upper(), path, re.compile(re.sub(r"{\w+}", "[^/]+", path)), operation)
            for path, operations in self.document["paths"].items()
            for method, operation in operations.items()
        ]

    def find_operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """What the document says of this request, if anything."""
        return next(
            (
                operation
                for name, _, pattern, operation in self.operations
                if name == method and pattern.fullmatch(path)
            ),
            None,
        )

    def find_response(self, operation: Mapping[str, Any], status: int) -> Mapping[str, Any] | None:
        """What the document says of an operation's answers with this status, if anything."""
        described: Mapping[str, Any] | None = operation["responses"].get(str(status))
        if described is None or "$ref" not in described:
            return described
        name = described["$ref"].removeprefix("#/components/responses/")
        found: Mapping[str, Any] = self.document["components"]["responses"][name]
        return found

    def check_answer(self, response: httpx2.Response) -> None:
        """Fail unless the answer is one that the document describes for its request."""
        method, path = response.request.method, response.request.url.path
        assert REQUEST_ID.fullmatch(response.headers["request-id"])
        if response.status_code >= 400 and method != "HEAD":
            read_problem(response)
        operation = self.find_operation(method, path)
        if operation is None:
            return
        if response.status_code < 400 and "requestBody" in operation:
            ((media, told),) = operation["requestBody"]["content"].items()
            if media == JSON:
                sent = json.loads(response.request.read())
                self.check_value(sent, told.get("schema", {}), f"what {method} {path} took")
        where = f"{method} {path}: {response.status_code} {response.text[:300]}"
        described = self.find_response(operation, response.status_code)
        assert described is not None, f"not described: {where}"
        media = response.headers["content-type"]
        content = described["content"].get(media)
        assert content is not None, where
        undescribed = OURS & set(response.headers) - {name.lower() for name in described["headers"]}
        assert undescribed == set(), where
        if media == EVENTS:
            for event in read_events(response.text):
                self.check_value(event["data"], content["schema"], where)
            return
        value = response.json() if media in (JSON, PROBLEM_JSON) else response.text
        self.check_value(value, content["schema"], where)

    def check_value(self, value: object, schema: Mapping[str, Any], where: str) -> None:
        """Fail unless the value is one that the schema allows."""
        errors = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in self._validator(schema).iter_errors(value)
        ]
        assert errors == [], where

    def _validator(self, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  # it has no types
        name = repr(schema)
        if name not in self._validators:
            whole = {**schema, "components": self._components}
            self._validators[name] = OAS31Validator(whole, format_checker=oas31_format_checker)
        return self._validators[name]


def _close_schemas(components: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but what a shape does not name is not allowed: callers may be that lenient."""
    schemas = {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in components["schemas"].items()
    }
    return {**components, "schemas": schemas}


def read_events(text: str) -> list[dict[str, Any]]:
    """The events of a stream (id, event, data as JSON), without its comments."""
    events = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            events.append({**fields, "data": json.loads(fields["data"])})
    return events


def read_problem(response: httpx2.Response) -> dict[str, Any]:
    """The answer's problem document. Fails unless it has the shape that all of them have."""
    assert response.headers["content-type"] == PROBLEM_JSON, response.text[:300]
    problem: dict[str, Any] = response.json()
    assert set(problem) - WHERE_MEMBERS == PROBLEM_MEMBERS, problem
    assert problem["type"] == f"/errors/{problem['code']}"
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["request-id"]
    assert isinstance(problem["retryable"], bool)
    assert problem["title"]
    assert problem["detail"]
    assert problem["detail"] != problem["title"], "it says what to do"
    for error in problem.get("errors", ()):
        assert set(error) == {"pointer", "detail"}
        assert error["pointer"] == "" or error["pointer"].startswith("/")
    assert "Traceback" not in response.text
    return problem
