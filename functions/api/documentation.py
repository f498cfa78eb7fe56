"""/v1/openapi.json, and a page to read it at /v1/docs; without a key, as both are the same for everyone."""

import json
from collections.abc import Callable, Sequence
from functools import cache

from functions.api.http import JSON, Request, Response
from functions.api.operation import HTML, Operation
from functions.api.routing import Route, Routes
from nightlane.api_settings import ApiSettings

CACHE = {"Cache-Control": "public, max-age=300"}


def routes(all_routes: Callable[[], Sequence[Route]], settings: ApiSettings) -> Routes:
    router = Routes()

    @cache
    def document() -> dict[str, object]:
        # Imported here, because the api's cold start counts and this is rarely asked for.
        from functions.api.openapi import openapi_document

        return openapi_document(all_routes(), settings.extra_endpoints)

    @router.get("/openapi.json", Operation("retrieveOpenAPI", "Retrieve this document", is_public=True))
    def openapi(_: Request) -> Response:
        # Anyone may read it, so a page of another site may as well.
        headers = CACHE | {"Access-Control-Allow-Origin": "*"}
        return Response(200, JSON, json.dumps(document()), headers)

    @router.get("/docs", Operation("readDocs", "Read this document as a page", content=HTML, is_public=True))
    def docs(_: Request) -> Response:
        from functions.api.document_page import CONTENT_SECURITY_POLICY, page_of

        security = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return Response(200, f"{HTML}; charset=utf-8", page_of(document()), CACHE | security)

    return router
