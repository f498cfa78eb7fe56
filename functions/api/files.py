"""/v1/files"""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from functions.api.http import absolute_url, body_of, form_of, has_json, json_response, tenant_of
from functions.api.operation import BINARY, Operation
from functions.api.quotas import quota_of
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.files import create_file, delete_file, get_file, list_files, read_content
from nightlane.domain.pending_files import begin_direct_upload, complete_direct_upload
from nightlane.domain.ports import Ports
from nightlane.settings import ApiSettings
from nightlane.wire import objects
from nightlane.wire.forms import read_upload
from nightlane.wire.headers import content_disposition
from nightlane.wire.requests import CreateFile, CreatePendingFile, ListFiles, lifetime_of, read, read_json
from nightlane.wire.responses import deleted_file, file_object, page, pending_file_object


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.post("/")
    @Operation(
        "createFile",
        "Upload a file, or get a URL to upload it to",
        form=CreateFile,
        file="file",
        body=CreatePendingFile,
        returns=objects.File | objects.PendingFile,
        errors=(403,),
    )
    def create() -> Response[str]:
        event = router.current_event
        if has_json(event):
            return json_response(_create_pending(ports, event))
        return json_response(file_object(_create(ports, event)))

    @router.get("/")
    @Operation("listFiles", "List the files", query=ListFiles, returns=objects.FilePage, errors=(404,))
    def index() -> Response[str]:
        event = router.current_event
        query = read(ListFiles, event.query_string_parameters)
        files = list_files(
            ports,
            tenant_of(event),
            after=query.after,
            limit=query.limit,
            purpose=query.purpose,
            newest_first=query.order == "desc",
        )
        return json_response(page(files, query.limit, file_object))

    @router.get("/<file_id>")
    @Operation("retrieveFile", "Retrieve a file", returns=objects.File)
    def retrieve(file_id: str) -> Response[str]:
        return json_response(file_object(get_file(ports, tenant_of(router.current_event), file_id)))

    @router.delete("/<file_id>")
    @Operation("deleteFile", "Delete a file", returns=objects.DeletedFile)
    def delete(file_id: str) -> Response[str]:
        delete_file(ports, tenant_of(router.current_event), file_id)
        return json_response(deleted_file(file_id))

    @router.post("/<file_id>/complete")
    @Operation("completeFile", "Complete a file that was sent to its upload URL", returns=objects.File)
    def complete(file_id: str) -> Response[str]:
        tenant = tenant_of(router.current_event)
        return json_response(file_object(complete_direct_upload(ports, tenant, file_id)))

    @router.get("/<file_id>/content")
    @Operation("downloadFile", "Download the content of a file", content=BINARY, redirects=True)
    def content(file_id: str) -> Response[Any]:
        found = read_content(ports, tenant_of(router.current_event), file_id)
        if found.text is None:
            return Response(status_code=302, headers={"Location": str(found.url)}, body="")
        return Response(
            status_code=200,
            content_type=BINARY,
            headers={"Content-Disposition": content_disposition(found.file.filename)},
            body=found.text,
        )

    return router


def _create(ports: Ports[ApiSettings], event: APIGatewayProxyEvent) -> StoredFile:
    request, upload = read_upload(form_of(event))
    tenant, quota = tenant_of(event), quota_of(event, ports.settings)
    purpose, lifetime = request.file_purpose, lifetime_of(request.expires_after)
    return create_file(ports, tenant, upload.filename, upload.content, purpose, lifetime, quota)


def _create_pending(ports: Ports[ApiSettings], event: APIGatewayProxyEvent) -> objects.PendingFile:
    request = read(CreatePendingFile, read_json(body_of(event)))
    tenant, quota = tenant_of(event), quota_of(event, ports.settings)
    purpose, lifetime = FilePurpose(request.purpose), lifetime_of(request.expires_after)
    pending = begin_direct_upload(ports, tenant, request.filename, purpose, request.bytes, lifetime, quota)
    return pending_file_object(pending, absolute_url(event, pending.put.url))
