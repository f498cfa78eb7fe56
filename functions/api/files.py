"""/v1/files"""

from functions.api.http import Request, Response, json_response
from functions.api.operation import BINARY, Operation
from functions.api.quotas import quota_of
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.files import create_file, delete_file, get_file, list_files, read_content
from nightlane.domain.pending_files import begin_direct_upload, complete_direct_upload
from nightlane.domain.ports import Ports
from nightlane.wire import objects
from nightlane.wire.headers import content_disposition
from nightlane.wire.requests import CreateFile, CreatePendingFile, ListFiles, lifetime_of, read, read_json
from nightlane.wire.responses import deleted_file, file_object, page, pending_file_object


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.post(
        "/files",
        Operation(
            "createFile",
            "Upload a file, or get a URL to upload it to",
            form=CreateFile,
            file="file",
            body=CreatePendingFile,
            returns=objects.File | objects.PendingFile,
            errors=(403,),
        ),
    )
    def create(request: Request) -> Response:
        if request.has_json:
            return json_response(_create_pending(ports, request))
        return json_response(file_object(_create(ports, request)))

    @router.get(
        "/files",
        Operation("listFiles", "List the files", query=ListFiles, returns=objects.FilePage, errors=(404,)),
    )
    def index(request: Request) -> Response:
        query = read(ListFiles, request.query)
        files = list_files(
            ports,
            request.tenant,
            after=query.after,
            limit=query.limit,
            purpose=query.purpose,
            newest_first=query.order == "desc",
        )
        return json_response(page(files, query.limit, file_object))

    @router.get("/files/{file_id}", Operation("retrieveFile", "Retrieve a file", returns=objects.File))
    def retrieve(request: Request, file_id: str) -> Response:
        return json_response(file_object(get_file(ports, request.tenant, file_id)))

    @router.delete("/files/{file_id}", Operation("deleteFile", "Delete a file", returns=objects.DeletedFile))
    def delete(request: Request, file_id: str) -> Response:
        delete_file(ports, request.tenant, file_id)
        return json_response(deleted_file(file_id))

    @router.post(
        "/files/{file_id}/complete",
        Operation("completeFile", "Complete a file that was sent to its upload URL", returns=objects.File),
    )
    def complete(request: Request, file_id: str) -> Response:
        tenant = request.tenant
        return json_response(file_object(complete_direct_upload(ports, tenant, file_id)))

    @router.get(
        "/files/{file_id}/content",
        Operation("downloadFile", "Download the content of a file", content=BINARY, redirects=True),
    )
    def content(request: Request, file_id: str) -> Response:
        found = read_content(ports, request.tenant, file_id)
        if found.text is None:
            return Response(status=302, headers={"Location": str(found.url)}, body="")
        return Response(
            status=200,
            content_type=BINARY,
            headers={"Content-Disposition": content_disposition(found.file.filename)},
            body=found.text,
        )

    return router


def _create(ports: Ports[ApiSettings], request: Request) -> StoredFile:
    # Imported here, because it imports the parser, see `Request.form`.
    from nightlane.wire.forms import read_upload

    fields, upload = read_upload(request.form())
    tenant, quota = request.tenant, quota_of(request, ports.settings)
    purpose, lifetime = fields.file_purpose, lifetime_of(fields.expires_after)
    return create_file(ports, tenant, upload.filename, upload.content, purpose, lifetime, quota)


def _create_pending(ports: Ports[ApiSettings], request: Request) -> objects.PendingFile:
    body = read(CreatePendingFile, read_json(request.body))
    tenant, quota = request.tenant, quota_of(request, ports.settings)
    purpose, lifetime = FilePurpose(body.purpose), lifetime_of(body.expires_after)
    pending = begin_direct_upload(ports, tenant, body.filename, purpose, body.bytes, lifetime, quota)
    return pending_file_object(pending, request.absolute_url(pending.put.url))
