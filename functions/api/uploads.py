"""/v1/uploads"""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.quotas import quota_of
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.ports import Ports
from nightlane.domain.uploads import add_part, cancel_upload, complete_upload, create_upload
from nightlane.wire import objects
from nightlane.wire.requests import read, read_json
from nightlane.wire.uploads import CompleteUpload, CreateUpload, part_object, read_part, upload_object


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.post(
        "/uploads",
        Operation("createUpload", "Begin an upload in parts", body=CreateUpload, returns=objects.Upload),
    )
    def create(request: Request) -> Response:
        body = read(CreateUpload, read_json(request.body))
        upload = create_upload(
            ports,
            request.tenant,
            filename=body.filename,
            purpose=body.file_purpose,
            size=body.bytes,
            lifetime=body.lifetime,
        )
        return json_response(upload_object(upload))

    @router.post(
        "/uploads/{upload_id}/parts",
        Operation("addUploadPart", "Add a part to an upload", file="data", returns=objects.UploadPart),
    )
    def add(request: Request, upload_id: str) -> Response:
        part = read_part(request.form())
        return json_response(part_object(add_part(ports, request.tenant, upload_id, part.content)))

    @router.post(
        "/uploads/{upload_id}/complete",
        Operation(
            "completeUpload",
            "Make a file of the parts",
            body=CompleteUpload,
            returns=objects.Upload,
            errors=(403,),
        ),
    )
    def complete(request: Request, upload_id: str) -> Response:
        body = read(CompleteUpload, read_json(request.body))
        completed = complete_upload(
            ports,
            request.tenant,
            upload_id,
            body.part_ids,
            body.md5,
            quota_of(request, ports.settings),
        )
        return json_response(upload_object(completed.upload, completed.file))

    @router.post(
        "/uploads/{upload_id}/cancel",
        Operation("cancelUpload", "Cancel an upload", returns=objects.Upload, errors=(400,)),
    )
    def cancel(request: Request, upload_id: str) -> Response:
        return json_response(upload_object(cancel_upload(ports, request.tenant, upload_id)))

    return router
