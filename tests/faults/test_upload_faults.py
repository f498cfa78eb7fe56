"""Uploads in parts with a fault at each AWS call in turn: a client that retries gets exactly one intact file.

The calls are not listed anywhere, see `test_crash_points`.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest

from nightlane.wiring import ports_on_aws
from tests.faults.faults import READS, Crash, Fault
from tests.faults.lab import SETTINGS, Bench, laboratory
from tests.world import World, build_world, requests

DATA = requests(3)
HALF = len(DATA) // 2
MD5 = md5(DATA, usedforsecurity=False).hexdigest()
FORM = "multipart/form-data; boundary=x"
FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.ERROR, Fault.REPEATED, Fault.FREEZE)
# `make test` injects each fault at one call in this many; `make crash-points` at every call.
ONE_IN = 6
EVERY_CALL = "NIGHTLANE_EVERY_CALL" in os.environ
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as shared:
        yield shared


class Client:
    """Sends each request until there is a response other than 5xx."""

    def __init__(self, world: World, bench: Bench) -> None:
        self.world, self.faults = world, bench.faults
        self.answer: tuple[int, Any] = (0, None)

    def send(self, path: str, body: bytes = b"", content_type: str = "application/json") -> Any:
        for _ in range(5):
            with suppress(Crash):
                self.answer = self.world.call("POST", f"/uploads{path}", body, content_type=content_type)
                if self.answer[0] < 500:
                    return self.answer[1]
            self.faults.dead = False
        raise AssertionError(f"no answer: {self.answer}")

    def create(self) -> str:
        body = json.dumps({"bytes": len(DATA), "filename": "a", "mime_type": "b", "purpose": "batch"})
        return str(self.send("", body.encode())["id"])

    def add(self, upload_id: str, data: bytes) -> str:
        head = b'--x\r\nContent-Disposition: form-data; name="data"; filename="upload"\r\n\r\n'
        body = head + data + b"\r\n--x--\r\n"
        return str(self.send(f"/{upload_id}/parts", body, content_type=FORM)["id"])

    def complete(self, upload_id: str, part_ids: list[str], checksum: str | None = MD5) -> Any:
        body = json.dumps({"part_ids": part_ids, "md5": checksum}).encode()
        return self.send(f"/{upload_id}/complete", body)


class Lab:
    """A bucket and a table of their own, a client whose server has faults, and one whose server has none."""

    def __init__(self, bench: Bench) -> None:
        number = next(_numbers)
        names = {"table_name": f"uploads-{number}", "bucket_name": f"uploads-{number}"}
        for url in bench.bare.sqs.list_queues().get("QueueUrls", []):
            bench.bare.sqs.delete_queue(QueueUrl=url)
        world = build_world(SETTINGS.model_copy(update=names), bench.faulty, plain_clients=bench.bare)
        self.s3, self.bucket = bench.bare.s3, names["bucket_name"]
        self.bare = replace(world, ports=ports_on_aws(world.ports.settings, bench.bare))
        self.client, self.other = Client(world, bench), Client(self.bare, bench)

    def files(self) -> list[dict[str, Any]]:
        return list(self.bare.call("GET", "/files")[1]["data"])

    def stored(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in listed]

    def composing(self) -> int:
        """How many multipart uploads are neither completed nor aborted; the lifecycle rule aborts them."""
        return len(self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def check_one_file(self, answer: Any) -> None:
        (file,) = self.files()
        assert answer["file"] == file
        assert self.stored("files/") == [f"files/acme/{file['id']}"]
        assert self.bare.ports.blobs.get(f"files/acme/{file['id']}") == DATA


def completed(lab: Lab, meanwhile: Callable[[Callable[[], Any]], None]) -> None:
    """Another client sends the same while this one's server is frozen."""
    upload_id = lab.client.create()
    ids = [lab.client.add(upload_id, DATA[:HALF]), lab.client.add(upload_id, DATA[HALF:])]
    meanwhile(lambda: lab.other.complete(upload_id, ids))
    lab.check_one_file(lab.client.complete(upload_id, ids))


def corrected(lab: Lab, meanwhile: Callable[[Callable[[], Any]], None]) -> None:
    """A complete with a wrong checksum, and then with the right one."""
    upload_id = lab.client.create()
    ids = [lab.client.add(upload_id, DATA)]
    meanwhile(lambda: lab.other.complete(upload_id, ids, "0" * 32))
    assert lab.client.complete(upload_id, ids, "0" * 32)["error"]["param"] == "md5"
    assert lab.files() == []
    meanwhile(lambda: lab.other.complete(upload_id, ids))
    lab.check_one_file(lab.client.complete(upload_id, ids))


def cancelled(lab: Lab, meanwhile: Callable[[Callable[[], Any]], None]) -> None:
    """A complete and a cancel: either ends the upload, and the other is refused."""
    upload_id = lab.client.create()
    ids = [lab.client.add(upload_id, DATA)]
    meanwhile(lambda: lab.other.send(f"/{upload_id}/cancel"))
    answer = lab.client.complete(upload_id, ids)
    if "error" not in answer:
        lab.check_one_file(answer)
        assert "is completed" in lab.client.send(f"/{upload_id}/cancel")["error"]["message"]
        return
    assert "is cancelled" in answer["error"]["message"]
    assert lab.client.send(f"/{upload_id}/cancel")["status"] == "cancelled"
    assert (lab.files(), lab.stored("")) == ([], [])


STORIES = {"completed": completed, "corrected": corrected, "cancelled": cancelled}


def run_story(bench: Bench, name: str, at: int = 0, fault: Fault | None = None) -> list[str]:
    """Run a story with one fault and return the names of the calls."""
    bench.faults.arm(at, fault)
    bench.faults.after_write = lambda: None
    lab = Lab(bench)
    STORIES[name](lab, lambda call: setattr(bench.faults, "meanwhile", call))
    if fault is None:
        assert (lab.stored("uploads/"), lab.composing()) == ([], 0)
    return bench.faults.names


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", STORIES)
def test_an_upload_survives_a_fault_at_every_call(
    bench: Bench, name: str, fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.faults.meanwhile = lambda: None
    names = run_story(bench, name)
    points = [
        at
        for at, each in enumerate(names, start=1)
        if not (fault in (Fault.CRASH_AFTER, Fault.REPEATED) and each.split(":")[1] in (*READS, "ListParts"))
    ]
    if not EVERY_CALL:
        points = points[FAULTS.index(fault) :: ONE_IN]
    for at in points:
        try:
            bench.faults.meanwhile = lambda: None
            run_story(bench, name, at, fault)
        except AssertionError as error:
            raise AssertionError(f"{fault.name} at call {at}, {names[at - 1]}") from error
    with capsys.disabled():
        print(f"\n{name}, {fault.name}: survived {len(points)}", end=" ")
    assert points
