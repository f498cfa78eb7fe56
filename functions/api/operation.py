"""What the OpenAPI document says about a route, declared at the route."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from functions.api.http import JSON

if TYPE_CHECKING:
    from pydantic import BaseModel

HTML, BINARY, ANY = "text/html", "application/octet-stream", "*/*"


class Operation(msgspec.Struct, frozen=True):
    """One operation of the document."""

    id: str
    """A name for generated clients, as in OpenAI's own document where it has the operation."""
    summary: str
    returns: Any = None
    """The type of the JSON of a successful response."""
    content: str = JSON
    """The media type of a successful response."""
    query: "type[BaseModel] | None" = None
    body: "type[BaseModel] | None" = None
    may_omit_body: bool = False
    form: "type[BaseModel] | None" = None
    """The text fields of a multipart form."""
    file: str | None = None
    """The file field of a multipart form."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Optional headers of the request, with their descriptions."""
    errors: tuple[int, ...] = ()
    """Statuses that follow neither from the parameters nor from the body, such as 409."""
    redirects: bool = False
    """Whether a successful response may also be 302, to the content."""
    is_public: bool = False
    """Whether no key is needed, see `PUBLIC_PATHS` in infra/gateway.py."""
