"""/v1/openapi.json, and a page to read it at /v1/docs; without a key, as both are the same for everyone."""

import json
from functools import cache

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import JSON
from functions.api.operation import HTML, Operation
from nightlane.settings import ApiSettings

CACHE = {"Cache-Control": "public, max-age=300"}


def routes(app: APIGatewayRestResolver, settings: ApiSettings) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @cache
    def document() -> dict[str, object]:
        # Imported here, because the api's cold start counts and this is rarely asked for.
        from functions.api.openapi import openapi_document

        return openapi_document(app, settings.extra_endpoints)

    @router.get("/openapi.json")
    @Operation("retrieveOpenAPI", "Retrieve this document", is_public=True)
    def openapi() -> Response[str]:
        # Anyone may read it, so a page of another site may as well.
        headers = CACHE | {"Access-Control-Allow-Origin": "*"}
        return Response(200, JSON, json.dumps(document()), headers)

    @router.get("/docs")
    @Operation("readDocs", "Read this document as a page", content=HTML, is_public=True)
    def docs() -> Response[str]:
        from functions.api.document_page import CONTENT_SECURITY_POLICY, page_of

        security = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return Response(200, f"{HTML}; charset=utf-8", page_of(document()), CACHE | security)

    return router
