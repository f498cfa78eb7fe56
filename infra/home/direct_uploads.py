"""Takes the content of direct uploads, as S3 does on AWS, and completes their files."""

import asyncio
import uuid
from http import HTTPStatus

from aiohttp import web

from nightlane.api_settings import MIB
from nightlane.domain.errors import BadRequest, StorageFull
from nightlane.domain.pending_files import receive_object
from nightlane.domain.ports import Ports
from nightlane.domain.received import Received
from nightlane.settings import Settings
from nightlane.wire.errors import envelope

from .blobs import FolderBlobs
from .http_server import meet_expectation
from .put_urls import PATH, Put

# Each write to the disk is a switch of threads.
WRITE_BYTES = MIB


class Rejected(Exception):
    """The request is not the one that the URL was issued for."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class DirectUploads:
    """Serves the URLs of `FolderBlobs.presigned_put`. They need no API key."""

    def __init__(self, ports: Ports[Settings], blobs: FolderBlobs) -> None:
        self._ports = ports
        self._blobs = blobs

    def add_to(self, application: web.Application) -> None:
        application.router.add_put(PATH, self.serve, expect_handler=meet_expectation)

    async def serve(self, request: web.Request) -> web.Response:
        try:
            put = self._allowed(request)
            with self._blobs.spool() as new_file:
                content = new_file()
                await _receive(request, content, put.size)
                if not await asyncio.to_thread(self._blobs.put_once, put.key, content):
                    raise Rejected(HTTPStatus.PRECONDITION_FAILED, "The content was already uploaded.")
            await asyncio.to_thread(receive_object, self._ports, put.key)
        except Rejected as rejected:
            return _error(rejected.status, str(rejected))
        except StorageFull as full:
            return _error(HTTPStatus(full.status), full.message)
        return web.Response(headers=_request_id())

    def _allowed(self, request: web.Request) -> Put:
        """What the URL allows. Raises: Rejected, if that is not what the request does."""
        put = self._blobs.put_urls.verify(request.query)
        if put is None:
            raise Rejected(HTTPStatus.FORBIDDEN, "The URL is not valid, or no longer.")
        if request.content_length != put.size:
            message = f"The URL is for exactly {put.size} bytes: send them with a Content-Length."
            raise Rejected(HTTPStatus.FORBIDDEN, message)
        return put


async def _receive(request: web.Request, content: Received, size: int) -> None:
    """Write the body to disk. Raises: Rejected, StorageFull."""
    waiting = bytearray()
    async for chunk in request.content.iter_any():
        waiting += chunk
        if len(waiting) >= WRITE_BYTES:
            await asyncio.to_thread(content.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(content.write, bytes(waiting))
    if content.size != size:
        raise Rejected(HTTPStatus.BAD_REQUEST, f"Only {content.size} of {size} bytes arrived.")


def _error(status: HTTPStatus, message: str) -> web.Response:
    return web.json_response(envelope(BadRequest(message)), status=status, headers=_request_id())


def _request_id() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}"}
