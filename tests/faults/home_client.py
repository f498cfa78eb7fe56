"""A client of the one machine: it retries until it succeeds, and records what it uploaded."""

import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from infra.home.events import proxy_event
from nightlane.domain.errors import StorageFull
from nightlane.wire.multipart import FormReader
from tests.faults.lab import PARAMETERS, marked_requests
from tests.world import TENANT, LambdaContext, with_system_prompts

if TYPE_CHECKING:
    from tests.faults.home_lab import HomeLab

FORM = "multipart/form-data; boundary=x"
PURPOSE = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
RETRY_SECONDS = 5.0


class Client:
    """Calls the API's handler as the HTTP front end does. The status must be 200, or 507 on a full disk."""

    def __init__(self, lab: "HomeLab") -> None:
        self._lab = lab
        self.uploaded: dict[str, bytes] = {}
        """The content of acknowledged uploads, by file id."""

    def upload(self, lines: int, name: str, prompts: int = 0) -> str:
        """Upload, retrying until it succeeds. Each request contains the file id and its line number."""
        for attempt in itertools.count():
            self._lab.next_id = f"{name}{attempt}".ljust(32, "0")
            file_id = f"file-{self._lab.next_id[:24]}"
            data = marked_requests(lines, file_id)
            data = with_system_prompts(data, prompts) if prompts else data
            if (answer := self._attempt(lambda data=data: self._post_file(data))) is not None:
                assert json.loads(answer["body"])["id"] == file_id
                self.uploaded[file_id] = data
                self._lab.watch.lines[file_id] = lines
                return file_id
        raise AssertionError

    def upload_in_parts(self, data: bytes, name: str) -> str:
        """Upload in two parts, of which the first is sent twice, retrying each request until it succeeds."""
        fields = {"bytes": len(data), "filename": "a", "mime_type": "b", "purpose": "batch"}
        body = json.dumps(fields).encode()
        upload_id = self._new(f"{name}upload", lambda: self._call("POST", "/uploads", body))
        half = len(data) // 2
        path, ids = f"/uploads/{upload_id}/parts", []
        for number, part in enumerate((data[:half], data[half:], data[:half])):
            add = partial(self._post_form, path, _form(part, "data"))
            ids.append(self._new(f"{name}{number}part", add))
        self._lab.next_id = f"{name}file".ljust(32, "0")
        body = json.dumps({"part_ids": [ids[2], ids[1]]}).encode()
        answer = self._request("POST", f"/uploads/{upload_id}/complete", body)
        file_id = str(json.loads(answer["body"])["file"]["id"])
        self.uploaded[file_id] = data
        return file_id

    def _new(self, name: str, call: Callable[[], Any]) -> str:
        """Retry a call until it succeeds, each time with another id for what it makes; return that id."""
        for attempt in itertools.count():
            self._lab.next_id = f"{name}{attempt}".ljust(32, "0")
            if (answer := self._attempt(call)) is not None:
                return str(json.loads(answer["body"])["id"])
        raise AssertionError

    def create(self, file_id: str, token: str) -> str:
        """Create a batch, retrying with the same token until it succeeds."""
        batch_id = self._create("/batches", {"input_file_id": file_id} | PARAMETERS, token)
        self._lab.watch.look()
        return batch_id

    def create_inline(self, lines: int, token: str) -> str:
        """Create a batch of requests that are in the body, in the same way."""
        self._lab.next_id = token.ljust(32, "0")
        requests = [json.loads(line) for line in marked_requests(lines, token).splitlines()]
        batch_id = self._create("/batches", {"requests": requests} | PARAMETERS, token)
        self._lab.watch.lines[self._lab.batch(batch_id).request.input_file_id] = lines
        return batch_id

    def retry(self, batch_id: str, token: str) -> str:
        """Retry the lines of a batch that failed, in the same way."""
        # They may be asked again.
        self._lab.upstream.answered.clear()
        self._lab.upstream.committed.clear()
        return self._create(f"/batches/{batch_id}/retry", {}, token)

    def _create(self, path: str, body: dict[str, Any], token: str) -> str:
        answer = self._request("POST", path, json.dumps(body | {"idem_tok": token}).encode())
        batch_id = str(json.loads(answer["body"])["id"])
        if batch_id not in self._lab.watch.batches:
            self._lab.watch.batches.append(batch_id)
        return batch_id

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch, retrying until it succeeds."""
        self._request("POST", f"/batches/{batch_id}/cancel")

    def read(self, file_id: str) -> bytes:
        """The content of a file. The API redirects to the object, and the HTTP front end sends it."""
        answer = self._call("GET", f"/files/{file_id}/content")
        assert answer["statusCode"] == 302, f"{file_id}: {answer['body']}"
        (location,) = answer["multiValueHeaders"]["Location"]
        return Path(unquote(urlsplit(location).path)).read_bytes()

    def _request(self, method: str, path: str, body: bytes = b"") -> Any:
        while True:
            answer = self._attempt(lambda: self._call(method, path, body))
            if answer is not None:
                return answer

    def _attempt(self, call: Any) -> Any:
        """The response; None if there was none, or the disk is full."""
        answer = self._lab.attempt(call)
        if answer is not None and answer["statusCode"] == 200:
            return answer
        if answer is not None:
            _check_refusal(answer["statusCode"], json.loads(answer["body"]))
        self._lab.clock.pass_time(RETRY_SECONDS)
        return None

    def _call(self, method: str, path: str, body: bytes = b"", form: Any = None) -> Any:
        headers = [("Content-Type", FORM)] if form else []
        event = proxy_event(method, path, [], headers, body, {"tenant": TENANT}, form)
        return self._lab.api(event, LambdaContext("api"))

    def _post_file(self, data: bytes) -> Any:
        return self._post_form("/files", PURPOSE + _form(data, "file"))

    def _post_form(self, path: str, body: bytes) -> Any:
        """Upload as the HTTP front end does: parse the form as it arrives, and write its file to disk."""
        form: Any
        with self._lab.blobs.spool() as new_file:
            try:
                reader = FormReader(FORM, new_file)
                reader.feed(body[:100])
                reader.feed(body[100:])
                form = reader.close()
            except StorageFull as error:
                form = error
            return self._call("POST", path, form=form)


def _form(data: bytes, name: str) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="in.jsonl"\r\n\r\n'
    return head.encode() + data + b"\r\n--x--\r\n"


def _check_refusal(status: int, body: Any) -> None:
    error = body["error"]
    assert (status, error["type"], error["code"]) == (507, "server_error", "storage_full"), f"{status} {body}"
    assert error["message"] == "The disk of this server is full. Try again once there is room."
