"""Makes the OpenAPI document from the app's routes. Imported only when a client asks for the document.

Source: https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from functions.api.http import JSON
from functions.api.operation import BINARY, Operation
from functions.api.routing import Route
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.wire import objects
from nightlane.wire.estimates import EstimateBatch
from nightlane.wire.requests import BATCH_ID_PATTERN, CreateBatch

Json = dict[str, Any]
MULTIPART = "multipart/form-data"
REFERENCE = "#/components/schemas/{model}"
DESCRIPTION = (
    "Nightlane's Batch API. OpenAI's clients work unmodified with this server as their base URL, "
    "and every error has OpenAI's envelope."
)
PATTERNS = {"batch_id": {"pattern": BATCH_ID_PATTERN}}
ERRORS = {
    "400": "The request is invalid",
    "401": "The key is missing or unknown",
    "403": "A quota of the tenant is used up",
    "404": "It does not exist, or belongs to another tenant",
    "409": "It conflicts with the current state; a retry does not help",
    "413": "The body is too large",
    "429": "Too many requests; see Retry-After",
    "5XX": "The server or the inference endpoint failed",
}


def openapi_document(routes: Sequence[Route], extra_endpoints: Sequence[str]) -> Json:
    """Return the document.

    Args:
        extra_endpoints: what a batch can be for besides OpenAI's endpoints, see the setting.
    """
    operations = list(_operations(routes))
    references, schemas = _schemas([each for _, _, each in operations])
    for body in (CreateBatch, EstimateBatch):
        endpoint = schemas[body.__name__]["properties"]["endpoint"]
        endpoint["enum"] = [*ENDPOINTS, *extra_endpoints]
    paths: Json = {}
    for path, method, each in operations:
        paths.setdefault(path, {})[method] = _operation(path, each, references)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Nightlane", "version": "v1", "description": DESCRIPTION},
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "responses": _error_responses(references[objects.Error]),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operations(routes: Sequence[Route]) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and operation of each route."""
    for route in routes:
        yield route.path.replace("+}", "}"), route.method.lower(), route.operation


def _schemas(operations: Sequence[Operation]) -> tuple[Mapping[Any, Json], Json]:
    """References to the schemas of all bodies, by type, and the schemas by name."""
    responses = {objects.Error, *(each.returns for each in operations if each.returns)}
    bodies = {each.body for each in operations if each.body}
    adapters: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        *((each, "serialization", TypeAdapter(each)) for each in responses),
        *((each, "validation", TypeAdapter(each)) for each in bodies),
    ]
    references, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    schemas = _without_titles(definitions["$defs"])
    return {kind: schema for (kind, _), schema in references.items()}, dict(sorted(schemas.items()))


def _without_titles(schema: Any) -> Any:
    """A schema without the titles that Pydantic derives from names, and `null` defaults."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _without_titles(each)
        for name, each in schema.items()
        if not (name == "title" and isinstance(each, str)) and not (name == "default" and each is None)
    }


def _operation(path: str, each: Operation, references: Mapping[Any, Json]) -> Json:
    parameters = [*_parameters(path, each)]
    body = _body(each, references)
    statuses = {"429", "5XX", *map(str, each.errors)}
    statuses |= set() if each.is_public else {"401"}
    statuses |= {"400"} if body or parameters else set()
    statuses |= {"404"} if "{" in path else set()
    statuses |= {"413"} if body else set()
    responses: Json = {"200": _success(each, references)}
    if each.redirects:
        responses["302"] = {"description": "The content is at the URL in Location, which needs no key"}
    responses |= {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}
    return {
        "operationId": each.id,
        "summary": each.summary,
        "tags": [path.split("/")[1]],
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": responses,
        **({"security": []} if each.is_public else {}),
    }


def _error_responses(error: Json) -> Json:
    content = {JSON: {"schema": error}}
    return {status: {"description": each, "content": content} for status, each in ERRORS.items()}


def _success(each: Operation, references: Mapping[Any, Json]) -> Json:
    if each.returns is not None:
        schema = references[each.returns]
    else:
        schema = {"type": "object"} if each.content == JSON else {"type": "string"}
    return {"description": "OK", "content": {each.content: {"schema": schema}}}


def _parameters(path: str, each: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        schema = {"type": "string", "minLength": 1} | PATTERNS.get(name, {})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if each.query:
        for name, schema, required in _fields(each.query):
            yield {"name": name, "in": "query", "required": required, "schema": schema}
    for name, description in each.headers.items():
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _body(each: Operation, references: Mapping[Any, Json]) -> Json:
    content: Json = {}
    if each.file:
        content[MULTIPART] = {"schema": _form(each.form, each.file)}
    if each.body:
        content[JSON] = {"schema": references[each.body]}
    return {"required": not each.may_omit_body, "content": content} if content else {}


def _form(model: type[BaseModel] | None, file: str) -> Json:
    """The fields of a form, which has no nesting: the members of an object are named `name[member]`."""
    fields: Json = {file: {"type": "string", "contentMediaType": BINARY}}
    required = [file]
    together: Json = {}
    for name, schema, is_required in _fields(model) if model else ():
        members = {f"{name}[{member}]": inner for member, inner in schema.get("properties", {}).items()}
        fields |= members or {name: schema}
        together |= {member: [other for other in members if other != member] for member in members}
        required += [name] if is_required else []
    form = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
    return form | ({"dependentRequired": together} if together else {})


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Json, bool]]:
    """Name, schema and whether it is required, of each field that arrives as text."""
    schema = _without_titles(model.model_json_schema())
    for name, found in schema["properties"].items():
        # There is no null: a field without a value is left out.
        choices = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
        field = choices[0] if len(choices) == 1 else found
        if "$ref" in field:
            field = schema["$defs"][field["$ref"].rpartition("/")[2]]
        yield name, field, name in schema.get("required", ())
