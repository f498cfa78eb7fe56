"""/v1/uploads"""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import body_of, form_of, json_response, tenant_of
from functions.api.operation import Operation
from functions.api.quotas import quota_of
from nightlane.domain.ports import Ports
from nightlane.domain.uploads import add_part, cancel_upload, complete_upload, create_upload
from nightlane.settings import ApiSettings
from nightlane.wire import objects
from nightlane.wire.requests import read, read_json
from nightlane.wire.uploads import CompleteUpload, CreateUpload, part_object, read_part, upload_object


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.post("/")
    @Operation("createUpload", "Begin an upload in parts", body=CreateUpload, returns=objects.Upload)
    def create() -> Response[str]:
        event = router.current_event
        request = read(CreateUpload, read_json(body_of(event)))
        upload = create_upload(
            ports,
            tenant_of(event),
            filename=request.filename,
            purpose=request.file_purpose,
            size=request.bytes,
            lifetime=request.lifetime,
        )
        return json_response(upload_object(upload))

    @router.post("/<upload_id>/parts")
    @Operation("addUploadPart", "Add a part to an upload", file="data", returns=objects.UploadPart)
    def add(upload_id: str) -> Response[str]:
        event = router.current_event
        part = read_part(form_of(event))
        return json_response(part_object(add_part(ports, tenant_of(event), upload_id, part.content)))

    @router.post("/<upload_id>/complete")
    @Operation(
        "completeUpload",
        "Make a file of the parts",
        body=CompleteUpload,
        returns=objects.Upload,
        errors=(403,),
    )
    def complete(upload_id: str) -> Response[str]:
        event = router.current_event
        request = read(CompleteUpload, read_json(body_of(event)))
        completed = complete_upload(
            ports,
            tenant_of(event),
            upload_id,
            request.part_ids,
            request.md5,
            quota_of(event, ports.settings),
        )
        return json_response(upload_object(completed.upload, completed.file))

    @router.post("/<upload_id>/cancel")
    @Operation("cancelUpload", "Cancel an upload", returns=objects.Upload, errors=(400,))
    def cancel(upload_id: str) -> Response[str]:
        return json_response(upload_object(cancel_upload(ports, tenant_of(router.current_event), upload_id)))

    return router
