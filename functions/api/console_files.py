"""/v1/console: a page for browsers, and its files; without a key, as they are the same for everyone.

The files are in the folder `console`, as a browser gets them. Only exact names of the folder are served.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from functions.api.http import Request, Response
from functions.api.operation import ANY, HTML, Operation
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.errors import NotFound
from nightlane.domain.ports import Blobs, Ports

FOLDER = Path(__file__).with_name("console")
PAGE = "index.html"
TYPES = {".html": HTML, ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Short, because after a deployment a browser should not mix files of two versions for long.
HEADERS = {
    "Cache-Control": "public, max-age=60",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class ConsoleFile:
    """A file as it is sent."""

    content_type: str
    text: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "ConsoleFile":
        data = path.read_bytes()
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        return cls(f"{TYPES[path.suffix]}; charset=utf-8", data.decode(), etag)


@cache
def console_files() -> Mapping[str, ConsoleFile]:
    """The files of the folder, by name."""
    return {path.name: ConsoleFile.read(path) for path in FOLDER.iterdir() if path.suffix in TYPES}


def content_security_policy(blobs: Blobs) -> str:
    """Allow the page what is on this server, and large content in the bucket, where presigned URLs lead."""
    bucket = urlsplit(blobs.presigned_put("files/console", 1, 1).url)
    connections = f"'self' {bucket.scheme}://{bucket.netloc}" if bucket.netloc else "'self'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {connections}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @cache
    def page_policy() -> str:
        return content_security_policy(ports.blobs)

    @router.get(
        "/console",
        Operation("readConsole", "Open the console, a page for browsers", content=HTML, is_public=True),
    )
    def page(request: Request) -> Response:
        headers = {"Content-Security-Policy": page_policy()}
        return _response(request, console_files()[PAGE], headers)

    @router.get(
        "/console/{file}",
        Operation("readConsoleFile", "Read a file of the console", content=ANY, is_public=True),
    )
    def file(request: Request, file: str) -> Response:
        # The page is served at one address only, because its links are relative.
        found = console_files().get(file) if file != PAGE else None
        if found is None:
            raise NotFound(f"Invalid URL (GET {request.shown_path})")
        return _response(request, found, {"Content-Security-Policy": "default-src 'none'"})

    return router


def _response(request: Request, file: ConsoleFile, headers: dict[str, str]) -> Response:
    headers = HEADERS | headers | {"ETag": file.etag}
    known = request.headers.get("if-none-match", "").split(",")
    if file.etag in (each.strip().removeprefix("W/") for each in known):
        return Response(304, headers=headers)
    return Response(200, file.content_type, file.text, headers)
