"""The OpenAPI document as a page: HTML without scripts, so that its policy can forbid everything else."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]
Rows = Iterable[tuple[str, str, bool]]
"""Name, type as HTML, and whether it is required."""
LIMITS = ("minimum", "maximum", "minLength", "maxLength", "maxProperties", "default", "pattern")
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 14px ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid #8886; border-radius: 6px; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; }
.method { display: inline-block; min-width: 4rem; font-weight: 600; text-transform: uppercase; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; }
td, th { border-top: 1px solid #8884; padding: .25rem .5rem .25rem 0; vertical-align: top; }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_of(document: Json) -> str:
    """Return the page of a document that `openapi` made."""
    info, components = document["info"], document["components"]
    body = [
        f"<h1>{escape(info['title'])}</h1>",
        f"<p>{escape(info['description'])} <a href='openapi.json'>openapi.json</a></p>",
        "<h2>Operations</h2>",
        *(
            _operation(path, method, each, components)
            for path, methods in document["paths"].items()
            for method, each in methods.items()
        ),
        "<h2>Objects</h2>",
        *(_object(name, schema) for name, schema in components["schemas"].items()),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>"
    )


def _operation(path: str, method: str, each: Json, components: Json) -> str:
    rows = [
        (
            parameter["name"],
            f"{parameter['in']}, {_type(parameter['schema'])}",
            parameter.get("required", False),
        )
        for parameter in each.get("parameters", ())
    ]
    parts = [_table(rows)]
    for media, content in each.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{escape(media)}</code>: {_type(content['schema'])}</p>")
        parts.append(_table(_rows(content["schema"])))
    parts.append("<table><tr><th>status</th><th>response</th></tr>")
    for status, response in each["responses"].items():
        found = components["responses"][status] if "$ref" in response else response
        types = ", ".join(_type(content["schema"]) for content in found.get("content", {}).values())
        parts.append(
            f"<tr><td><code>{status}</code></td><td>{escape(found['description'])} {types}</td></tr>"
        )
    parts.append("</table>")
    return (
        f"<details id='{escape(each['operationId'])}'><summary><span class='method'>{escape(method)}</span> "
        f"<code>{escape(path)}</code> {escape(each['summary'])}</summary>{''.join(parts)}</details>"
    )


def _object(name: str, schema: Json) -> str:
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<p>{escape(schema.get('description', ''))}</p>{_table(_rows(schema)) or _type(schema)}</details>"
    )


def _rows(schema: Json) -> Rows:
    for name, each in schema.get("properties", {}).items():
        yield name, _type(each), name in schema.get("required", ())


def _table(rows: Rows) -> str:
    cells = [
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{'required' * required}</td></tr>"
        for name, kind, required in rows
    ]
    return f"<table>{''.join(cells)}</table>" if cells else ""


def _type(schema: Json) -> str:
    """A schema in short, as HTML with links to the objects."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
    kind = "file" if "contentMediaType" in schema else escape(schema.get("type", "anything"))
    if kind == "array":
        return f"array of {_type(schema['items'])}"
    limits = [f"{name} {value}" for name, value in schema.items() if name in LIMITS]
    return f"{kind} ({escape(', '.join(limits))})" if limits else kind
