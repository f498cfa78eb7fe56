"""Results can be read while a batch runs: each line once, however pages and checkpoints alternate."""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.home.parts import open_data
from nightlane.domain import results
from nightlane.domain.assembly import assemble_batch
from nightlane.domain.batch import Batch, BatchRequest, Outcome
from nightlane.domain.batches import cancel_batch, create_batch
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.errors import NotFound
from nightlane.domain.file import FilePurpose
from nightlane.domain.files import create_file, delete_file
from nightlane.domain.inference.journal import save_results
from nightlane.domain.inference.lines import line_of
from nightlane.domain.inference.results import Result
from nightlane.domain.lines import request_lines, response_line
from nightlane.domain.parts import Record
from nightlane.domain.planning import plan_batch
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import NO_QUOTA
from nightlane.domain.received import InMemory
from nightlane.domain.results import ResultsPage, read_results
from nightlane.domain.shard import DoneLines
from nightlane.settings import Settings
from tests.faults.lab import _NoModels
from tests.upstream import only
from tests.world import TENANT, World, requests, with_system_prompts

SETTINGS = Settings(
    upstreams=only("http://127.0.0.1:9/v1"),
    shard_max_lines=4,
    max_concurrent_requests_per_batch=2,
    requests_in_flight_per_worker=1,
    max_concurrent_batches=1_000,
)
LINES = 13


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports[Settings]]:
    parts = open_data(tmp_path_factory.mktemp("data"), SETTINGS)
    with closing(parts.database):
        yield parts.ports


@dataclass
class Running:
    """A running batch whose lines are committed when a test says so."""

    ports: Ports[Settings]
    batch_id: str
    committed: int = 0

    @property
    def batch(self) -> Batch:
        batch = self.ports.batches.get_batch(self.batch_id)
        assert batch is not None
        return batch

    def commit(self, index: int, chosen: random.Random, most: int = 4, size: int = 1) -> None:
        """Commit some random lines of a shard, successful and failed; `size` is that of an answer."""
        manifest = read_manifest(self.ports, self.batch)
        spec = manifest.shards[index]
        stored = self.ports.batches.get_shard(self.batch_id, index)
        if stored.finished:
            return
        shard = self.ports.batches.begin_shard(stored, spec.lane)
        done = DoneLines(spec.lines, shard.done)
        lines = request_lines(self.ports.blobs.stream(manifest.input_key, spec.start, spec.end))
        left = list(done.missing(lines))
        run = chosen.sample(left, min(len(left), chosen.randint(1, most)))
        made = [_result(self.batch_id, spec.numbers, *line, size=size) for line in run]
        save_results(self.ports, shard, done, made, finished=len(run) == len(left))
        self.committed += len(run)

    def end(self, outcome: Outcome) -> None:
        if outcome is Outcome.COMPLETED:
            for spec in read_manifest(self.ports, self.batch).shards:
                while not self.ports.batches.get_shard(self.batch_id, spec.index).finished:
                    self.commit(spec.index, random.Random(0))
        elif outcome is Outcome.CANCELLED:
            cancel_batch(self.ports, TENANT, self.batch_id)
        now = self.batch.expires_at + (1.0 if outcome is Outcome.EXPIRED else -1.0)
        assemble_batch(replace(self.ports, now=lambda: now), self.batch_id)
        assert self.batch.status.value == outcome.value

    def files(self) -> list[str]:
        batch = self.batch
        ids = [each for each in (batch.output_file_id, batch.error_file_id) if each]
        return [
            line
            for each in ids
            for line in self.ports.blobs.get(f"files/{TENANT}/{each}").decode().splitlines()
        ]


def _result(batch_id: str, numbers: range, number: int, data: bytes, size: int) -> Result:
    line = line_of(batch_id, numbers, number, data)
    ok, body = number % 3 != 1, json.dumps({"text": '"' * size}).encode()
    return Result(
        Record(
            number, ok, response_line(line.result_id, line.request.custom_id, 200 if ok else 400, "r", body)
        )
    )


def start(ports: Ports[Settings], data: bytes) -> Running:
    file = create_file(ports, TENANT, "in.jsonl", InMemory(data), FilePurpose.BATCH, None, NO_QUOTA)
    request = BatchRequest(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    batch = create_batch(ports, TENANT, request, None, NO_QUOTA)
    plan_batch(ports, _NoModels(), batch.id)
    return Running(ports, batch.id)


@dataclass
class Reader:
    """A client that reads page after page."""

    running: Running
    after: str | None = None
    lines: list[str] = field(default_factory=list)

    def read(self, limit: int = 50_000) -> ResultsPage:
        page = read_results(self.running.ports, TENANT, self.running.batch_id, after=self.after, limit=limit)
        self.after = page.cursor
        lines = page.text.splitlines()
        assert len(lines) <= limit
        self.lines += lines
        return page

    def read_all(self, limit: int) -> None:
        while self.read(limit).is_incomplete:
            pass


STEP = st.one_of(
    st.tuples(st.just("commit"), st.integers(0, 3)),
    st.tuples(st.just("read"), st.integers(0, 1), st.integers(1, 6)),
)


@pytest.mark.parametrize(
    "data", [requests(LINES), with_system_prompts(requests(LINES), 3)], ids=["plain", "grouped"]
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEP, max_size=25),
    seed=st.integers(0, 99),
    outcome=st.sampled_from(Outcome),
    limit=st.integers(1, 20),
)
def test_every_line_is_read_once_at_any_limits_while_checkpoints_land(
    ports: Ports[Settings], data: bytes, steps: list[tuple[Any, ...]], seed: int, outcome: Outcome, limit: int
) -> None:
    running, chosen = start(ports, data), random.Random(seed)
    readers = [Reader(running), Reader(running)]
    for verb, which, *limits in steps:
        if verb == "commit":
            running.commit(which, chosen)
        else:
            readers[which].read(*limits)
    for reader in readers:
        while reader.read(limit).text:
            pass
        assert len(set(reader.lines)) == len(reader.lines) == running.committed
    running.end(outcome)
    readers.append(Reader(running))
    for reader in readers:
        reader.read_all(limit)
        assert sorted(reader.lines) == sorted(running.files())
        assert len(reader.lines) == LINES
        assert (reader.after, reader.read().text) == (str(LINES), "")
    ids = {json.loads(line)["custom_id"] for line in readers[0].lines}
    assert ids == {f"request-{number}" for number in range(LINES)}


def test_a_part_that_was_seen_is_not_opened_again(
    ports: Ports[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(ports, requests(LINES))
    reader, opened = Reader(running), []
    stream = type(ports.blobs).stream

    def note(self: Any, key: str, *rest: Any) -> Any:
        opened.append(key.split("/")[-2])
        return stream(self, key, *rest)

    monkeypatch.setattr(type(ports.blobs), "stream", note)
    for index in (0, 2, 0, 3):
        running.commit(index, random.Random(index), most=2)
        opened.clear()
        reader.read()
        assert opened == [f"{index:05d}"]
    opened.clear()
    monkeypatch.setattr(ports.batches, "shards", None)
    assert reader.read().text == ""
    assert opened == []


def test_a_page_has_at_most_4_mib_and_what_lambda_can_return(ports: Ports[Settings]) -> None:
    running = start(ports, requests(LINES))
    for index in (0, 0, 0, 1, 1, 1):
        running.commit(index, random.Random(1), most=1, size=500_000)
    reader, pages = Reader(running), 0
    while (page := reader.read()).text:
        pages += 1
        assert len(page.text) <= 4 * 1024 * 1024
        assert len(json.dumps(page.text)) <= 6_000_000
    assert pages > 1
    assert len(reader.lines) == running.committed == 6


def test_a_line_larger_than_a_response_is_replaced_by_its_ids(ports: Ports[Settings]) -> None:
    running = start(ports, requests(2))
    running.commit(0, random.Random(1), most=1, size=2_000_000)
    reader = Reader(running)
    reader.read()
    (line,) = map(json.loads, reader.lines)
    assert (line["response"], line["error"]["code"]) == (None, "result_too_large")
    running.end(Outcome.COMPLETED)
    late = Reader(running)
    late.read_all(limit=50_000)
    assert [each["id"] for each in map(json.loads, late.lines)].count(line["id"]) == 1
    whole = [each for each in running.files() if json.loads(each)["id"] == line["id"]]
    assert len(whole[0]) > 4_000_000


def test_files_are_scanned_piece_by_piece_for_what_was_not_seen(
    ports: Ports[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_SCANNED_BYTES", 300)
    running = start(ports, requests(LINES))
    for _ in range(4):
        running.commit(0, random.Random(0))
    reader = Reader(running)
    reader.read()
    running.end(Outcome.CANCELLED)
    pages = 0
    while reader.read().is_incomplete:
        pages += 1
    assert pages > 1
    assert len(set(reader.lines)) == len(reader.lines) == LINES


def test_the_end_between_two_reads_of_a_page_loses_nothing(
    ports: Ports[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(ports, requests(LINES))
    running.commit(0, random.Random(0))
    running.commit(1, random.Random(0))
    shards = ports.batches.shards

    def end_first(*arguments: Any) -> Any:
        found = list(shards(*arguments))
        monkeypatch.undo()
        running.end(Outcome.CANCELLED)
        return iter(found)

    monkeypatch.setattr(ports.batches, "shards", end_first)
    reader = Reader(running)
    reader.read_all(3)
    assert sorted(reader.lines) == sorted(running.files())


def test_deleted_files_are_an_error_unless_everything_was_seen(ports: Ports[Settings]) -> None:
    running = start(ports, requests(2))
    reader = Reader(running)
    running.end(Outcome.COMPLETED)
    reader.read_all(9)
    output = running.batch.output_file_id
    assert output is not None
    delete_file(ports, TENANT, output)
    assert reader.read().text == ""
    with pytest.raises(NotFound, match="deleted or have expired"):
        Reader(running).read()


def read(nightlane: World, batch_id: str, **query: str) -> tuple[int, Any]:
    response = nightlane.respond("GET", f"/batches/{batch_id}/results", query=query)
    return response["statusCode"], response


def test_the_routes_headers_and_errors(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(5)))
    path = f"/batches/{batch_id}/results"
    status, answer = read(nightlane, batch_id)
    headers = answer["multiValueHeaders"]
    assert (status, answer["body"], headers["X-Incomplete"], headers["X-Last-Line"]) == (
        200,
        "",
        ["true"],
        ["0"],
    )
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    status, answer = read(nightlane, batch_id, limit="2")
    assert [json.loads(line)["custom_id"] for line in answer["body"].splitlines()] == [
        "request-0",
        "request-1",
    ]
    assert answer["multiValueHeaders"]["X-Last-Line"] == ["2"]
    nightlane.run()
    status, answer = read(nightlane, batch_id, after="2")
    headers = answer["multiValueHeaders"]
    assert len(answer["body"].splitlines()) == 3
    assert (headers["X-Incomplete"], headers["X-Last-Line"]) == (["false"], ["5"])
    assert headers["Content-Type"] == ["application/x-ndjson"]
    for query, param in (({"after": "6"}, "after"), ({"limit": "0"}, "limit"), ({"limit": "50001"}, "limit")):
        status, body = nightlane.call("GET", path, query=query)
        assert (status, body["error"]["param"]) == (400, param)
    assert nightlane.call("GET", path, tenant="globex")[0] == 404
    assert nightlane.call("GET", "/batches/batch_none/results")[0] == 404


def test_a_failed_batch_has_no_results(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(b"{}\n"))
    nightlane.run()
    _, answer = read(nightlane, batch_id)
    assert (answer["body"], answer["multiValueHeaders"]["X-Incomplete"]) == ("", ["false"])
