"""What the OpenAPI document says about a route, declared at the route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from functions.api.http import JSON

if TYPE_CHECKING:
    from pydantic import BaseModel

HTML, BINARY, ANY = "text/html", "application/octet-stream", "*/*"
Route = TypeVar("Route", bound=Callable[..., Any])
_ATTRIBUTE = "__operation__"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document, and the decorator that declares it."""

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
    headers: Mapping[str, str] = field(default_factory=dict)
    """Optional headers of the request, with their descriptions."""
    errors: tuple[int, ...] = ()
    """Statuses that follow neither from the parameters nor from the body, such as 409."""
    redirects: bool = False
    """Whether a successful response may also be 302, to the content."""
    path: str | None = None
    """The path, if the route's rule is a regular expression."""
    is_public: bool = False
    """Whether no key is needed, see `PUBLIC_PATHS` in infra/gateway.py."""

    def __call__(self, route: Route) -> Route:
        setattr(route, _ATTRIBUTE, self)
        return route


def operation_of(route: Callable[..., Any]) -> Operation | None:
    """Return what was declared at a route."""
    declared: Operation | None = getattr(route, _ATTRIBUTE, None)
    return declared
