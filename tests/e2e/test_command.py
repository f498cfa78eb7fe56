"""The `nightlane` command, run as from a shell."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.conftest import Instance
from tests.world import requests

NIGHTLANE = [sys.executable, "-m", "infra.cli.app"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*NIGHTLANE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def served(tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    command = [
        *NIGHTLANE,
        "local",
        "--port",
        "0",
        "--data",
        str(tmp_path),
        "--api-key",
        "acme=sk-1",
        "--api-key",
        "sk-2",
        "--set",
        "checkpoint_seconds=2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {child} | children_of(child)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_local_prints_one_line_serves_and_ends_its_child_processes(
    served: "subprocess.Popen[str]", number: int
) -> None:
    assert served.stdout is not None
    line = served.stdout.readline()
    assert line.startswith("ready http://127.0.0.1:")
    assert line.endswith("/v1\n")
    base_url = line.split()[1]
    for key in ("sk-1", "sk-2"):
        assert list(openai.OpenAI(base_url=base_url, api_key=key).batches.list()) == []
    children = children_of(served.pid)
    commands = [Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[:-1] for child in children]
    assert {b"infra.home.worker"} <= {command[2] for command in commands}
    served.send_signal(number)
    assert served.wait(5) == 0
    assert served.stdout.read() == ""
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "nonsense=1"),
        ("--set", "checkpoint_seconds=soon"),
        ("--set", "upstream_timeout_seconds=900"),
        ("--set", "x"),
        ("--upstream", "localhost:8000/v1"),
        ("--api-key", "="),
    ],
)
def test_local_refuses_invalid_options(arguments: tuple[str, str]) -> None:
    ended = run("local", "--port", "0", *arguments)
    assert ended.returncode == 2
    assert arguments[0] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_local_reports_that_the_port_is_taken(instance: Instance) -> None:
    port = instance.base_url.split(":")[2].split("/")[0]
    ended = run("local", "--port", port, "--data", ":memory:")
    assert ended.returncode == 2
    assert f"cannot serve on port {port}" in ended.stderr


def test_run_writes_the_results(instance: Instance, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(requests(10) + requests(3, mock={"status": 400}).replace(b"request-", b"bad-"))
    where = ("--base-url", instance.base_url, "--api-key", instance.keys["acme"])
    ended = run("run", source, *where, "-o", tmp_path / "out.jsonl")
    assert ended.returncode == 1, ended.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 10
    errors = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert [error["custom_id"] for error in errors] == ["bad-0", "bad-1", "bad-2"]
    assert "10 completed, 3 failed, 13 in total" in ended.stderr


def test_run_shows_why_a_file_is_invalid(instance: Instance, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(requests(2) + b"{}\n")
    ended = run("run", source, "--base-url", instance.base_url, "--api-key", instance.keys["acme"])
    assert ended.returncode == 3
    assert "missing_required_parameter" in ended.stderr


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        (b"", (), 2),
        (requests(1), ("--api-key", ""), 2),
        (requests(1), ("--base-url", "http://127.0.0.1:9/v1"), 6),
    ],
)
def test_the_exit_code_of_run_shows_what_went_wrong(
    tmp_path: Path, content: bytes, options: tuple[str, ...], code: int
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(content)
    ended = run("run", source, "--base-url", "http://127.0.0.1:9/v1", "--api-key", "k", *options)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


def test_demo_runs_a_batch_and_estimates_its_cost_without_moto(tmp_path: Path) -> None:
    (tmp_path / "moto.py").write_text("raise ImportError")
    # In another folder only the installed command works, not a module of the checkout.
    command = [f"{sys.prefix}/bin/nightlane", "demo", "--lines", "20", "--latency", "0.01"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    assert "20 completed, 0 failed, 20 in total" in ended.stdout
    assert "What this batch would have cost" in ended.stdout
    answers = (tmp_path / "nightlane-demo" / "answers.jsonl").read_text()
    assert len(answers.splitlines()) == 20


def test_ctrl_c_cancels_a_running_batch(instance: Instance, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(requests(500, mock={"latency": 0.3}))
    command = [
        *NIGHTLANE,
        "run",
        str(source),
        "--base-url",
        instance.base_url,
        "--api-key",
        instance.keys["acme"],
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("in_progress"):
            break
        if line.startswith("validating"):
            # The next line is printed ten seconds later; the batch starts running long before that.
            instance.wait(
                instance.client.batches.list(limit=1).data[0].id, lambda each: each.status == "in_progress"
            )
            break
    os.kill(process.pid, signal.SIGINT)
    output = process.stderr.read()
    assert process.wait(30) == 5, output
    process.stderr.close()
    assert "cancelled:" in output


def test_run_prints_results_while_the_batch_runs(instance: Instance, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    slow = requests(1, mock={"latency": 6}).replace(b"request-0", b"slow")
    bad = requests(1, mock={"status": 400}).replace(b"request-0", b"bad")
    source.write_bytes(slow + requests(20) + bad)
    where = ("--base-url", instance.base_url, "--api-key", instance.keys["acme"])
    command = [*NIGHTLANE, "run", str(source), "--follow", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert instance.client.batches.list(limit=1).data[0].status == "in_progress"
        lines = [first, *process.stdout]
        assert process.wait(60) == 1
    files = [tmp_path / "in.output.jsonl", tmp_path / "in.output.errors.jsonl"]
    assert sorted(lines) == sorted(
        line for path in files for line in path.read_text().splitlines(keepends=True)
    )
    assert len(lines) == 22
