"""`nightlane local`: its data folder, options, logs and backups."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from infra.cli.mock.process import MockUpstream
from tests.e2e.conftest import LOCAL, NIGHTLANE
from tests.e2e.homes import KEY, run_to_exit, running, worker_of
from tests.world import requests


@pytest.fixture
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(latency_mean=0.01) as serving:
        yield serving


def test_a_second_server_on_the_same_folder_is_refused_with_the_pid_of_the_first(
    tmp_path: Path, upstream: MockUpstream
) -> None:
    with running(tmp_path, upstream.url) as server:
        second = run_to_exit(tmp_path)
        assert second.returncode == 2
        assert f"in use by the server with pid {server.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr


def test_content_of_any_size_is_served_on_the_same_port_with_ranges(
    tmp_path: Path, upstream: MockUpstream
) -> None:
    data = b'{"a": "%s"}' % (b"x" * 5_000_000)
    with running(tmp_path, upstream.url) as server:
        file = server.client.files.create(file=("größer.jsonl", data), purpose="batch")
        url = f"{server.client.base_url}files/{file.id}/content"
        headers = {"Authorization": f"Bearer {KEY}"}
        whole = urllib3.request("GET", url, headers=headers, redirect=False)
        assert (whole.status, whole.data) == (200, data)
        assert "filename*=" in whole.headers["content-disposition"]
        part = urllib3.request("GET", url, headers=headers | {"Range": "bytes=1000-1999"})
        assert (part.status, part.data) == (206, data[1_000:2_000])


def data_folder(home: Path, *options: str) -> Path:
    """Run a server, stop it, and return the data folder that it printed."""
    own = {name: value for name, value in os.environ.items() if name != "XDG_DATA_HOME"}
    process = subprocess.Popen(
        [*LOCAL, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=own | {"HOME": str(home)},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")
    process.terminate()
    _, stderr = process.communicate()
    (line,) = [line for line in stderr.splitlines() if line.startswith("data: ")]
    return Path(line.removeprefix("data: ").removesuffix(", deleted on exit"))


def test_the_default_data_folder_is_in_the_home_directory(tmp_path: Path) -> None:
    folder = data_folder(tmp_path)
    assert tmp_path in folder.parents
    assert (folder / "nightlane.db").exists()


def test_temporary_data_is_deleted_on_exit(tmp_path: Path) -> None:
    folder = data_folder(tmp_path, "--data", ":memory:")
    assert folder.is_absolute()
    assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run_to_exit(tmp_path / "file" / "data")
    assert refused.returncode == 2
    assert "cannot use the data" in refused.stderr
    assert str(tmp_path / "file") in refused.stderr
    assert "Traceback" not in refused.stderr


def test_listening_on_another_address_requires_a_key(tmp_path: Path) -> None:
    refused = run_to_exit(tmp_path, "--host", "127.0.0.2")
    assert refused.returncode == 2
    assert "--api-key" in refused.stderr


def test_the_worker_logs_to_standard_error_at_the_level_of_its_server(
    tmp_path: Path, upstream: MockUpstream
) -> None:
    with running(tmp_path, upstream.url, "--log-level", "info") as server:
        os.kill(worker_of(server), signal.SIGKILL)
        assert server.process.stderr is not None
        logged = iter(server.process.stderr.readline, "")
        assert any(line.startswith("nightlane.server: the worker process ended with -9") for line in logged)
        assert any(line.startswith("nightlane.worker: running up to 2 lanes at once") for line in logged)
        server.process.terminate()
        assert server.process.communicate()[0] == ""


def test_a_backup_of_a_running_server_completes_the_batch_that_was_running(tmp_path: Path) -> None:
    lines = 300
    with MockUpstream(latency_mean=0.1) as slow, running(tmp_path / "data", slow.url) as server:
        batch_id = server.create(requests(lines))
        server.wait_for(batch_id, lambda counts: counts.completed >= 50)
        command = [*NIGHTLANE, "backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data")]
        made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert made.stdout.startswith(f"{tmp_path / 'copy'}: ")
        assert server.wait(batch_id).status == "completed"
    with MockUpstream() as fast, running(tmp_path / "copy", fast.url) as server:
        batch = server.wait(batch_id)
        assert server.output_ids(batch) == [f"request-{number}" for number in range(lines)]
        # Lines that were committed before the backup are not requested again.
        assert fast.statistics()["requests"] <= lines - 50


def test_a_path_with_a_newline_gets_the_error_envelope(tmp_path: Path, upstream: MockUpstream) -> None:
    with running(tmp_path, upstream.url) as server:
        url = f"{server.client.base_url}batches/a%0Ab"
        refused = urllib3.request("GET", url, headers={"Authorization": f"Bearer {KEY}"})
        assert (refused.status, refused.json()["error"]["param"]) == (400, "batch_id")


def test_the_openapi_document_is_also_outside_the_stage(tmp_path: Path, upstream: MockUpstream) -> None:
    with running(tmp_path, upstream.url) as server:
        origin = str(server.client.base_url).removesuffix("/v1/")
        assert urllib3.request("GET", f"{origin}/openapi.json").json()["info"]["title"] == "Nightlane"
        assert urllib3.request("GET", f"{origin}/docs").headers["content-type"].startswith("text/html")
        refused = urllib3.request("POST", f"{origin}/v1/docs")
        assert (refused.status, refused.json()["error"]["type"]) == (404, "invalid_request_error")
