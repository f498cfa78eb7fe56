"""Cold starts: the imports of every function beside `import boto3`, its first request, and the layers' sizes.

The code is in layers, as for Lambda but for this machine's Python; boto3, which they do not have, is the
environment's. Each measurement is a new process, and its value is the CPU time (user and system) that it
takes longer than a process that does nothing. All kinds take turns, so that what else the machine does
affects them alike. `python -m bench.coldstart NAME CHECKOUT` measures another checkout, such as an earlier
version, and saves the result as `coldstart-NAME.json`.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from bench.result import RESULTS, Figure, Result, save, show
from infra.deploy.layers import MB, Platform, build, size_of
from infra.home.events import REGION, proxy_event
from infra.resources import functions
from nightlane.aws.clients import Clients
from nightlane.aws.table.keys import DynamoKeys
from nightlane.settings import Settings
from tests.rig.rig import AWS_ENVIRONMENT
from tests.world import TENANT, build_world, requests

ROOT = Path(__file__).parents[1]
ROUNDS, QUICK_ROUNDS = 10, 3
KEY = "sk-bench-0123456789abcdef"
BARE, BOTO3, BOTO3_CALL = "nothing", "import boto3", "import boto3 and read an item of DynamoDB"
KIB_PER_MIB = 1_024
# Runs in the new process: imports, and then the events that are its arguments, each with the expected status.
DRIVER = """
import importlib, json, pathlib, sys

class Context:
    function_name = "nightlane"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:nightlane"
    aws_request_id = "0"

    def get_remaining_time_in_millis(self):
        return 30_000

module, event = sys.argv[1:]
imported = importlib.import_module(module) if module else None
if event:
    answer = imported.handler(json.loads(event), Context())
    assert answer.get("statusCode", 200) == 200, answer
status = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""
BUILD = """
from infra.deploy.layers import HOST, build
code = build(HOST)
print(code.functions, code.dependencies / "python", code.shared / "python", sep="\\n")
"""
# As much as a program can do with boto3 alone: one call.
READ_AN_ITEM = """
import boto3

boto3.client("dynamodb").get_item(TableName="nightlane", Key={"pk": {"S": "x"}, "sk": {"S": "x"}})
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A process to measure: the module that it imports, and the event that it handles."""

    name: str
    environment: dict[str, str]
    module: str = ""
    event: Any = None


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds, and peak MiB of memory."""

    seconds: float
    memory: float


def measure(max_lines: int, checkout: Path = ROOT) -> Result:
    """CPU time of cold starts, as milliseconds and beside boto3's; a quick run has three rounds."""
    rounds = QUICK_ROUNDS if max_lines < 500 else ROUNDS
    with tempfile.TemporaryDirectory() as folder, _moto() as url:
        (Path(folder) / "read_an_item.py").write_text(READ_AN_ITEM)
        layers = _layers_of(checkout)
        sources = [_sources(each, Path(folder) / str(number)) for number, each in enumerate(layers)]
        others = [Path(folder), Path(sysconfig.get_path("purelib"))]
        starts = _prepare(url, [*layers, *others], [*sources, *others])
        used = _take_turns(starts, rounds)
    return Result([*_figures(used), *(_layer_sizes() if checkout == ROOT else ())])


def _layers_of(checkout: Path) -> list[Path]:
    """Where the code of a checkout is, built as for Lambda but for this machine."""
    command = [sys.executable, "-c", BUILD]
    built = subprocess.run(command, cwd=checkout, stdout=subprocess.PIPE, text=True, check=True)
    return [Path(line) for line in built.stdout.splitlines()]


@contextmanager
def _moto() -> Iterator[str]:
    """The URL of moto's server in another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.rig.moto"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def _sources(folder: Path, target: Path) -> Path:
    """A copy of a folder without bytecode."""
    return Path(shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__")))


def _prepare(url: str, paths: list[Path], sources: list[Path]) -> list[Start]:
    """What to measure, on a table and queues that have a key, a file and a batch."""
    clients = Clients(boto3.Session("local", "local", region_name=REGION), url)
    world = build_world(Settings(), clients)
    settings = world.ports.settings
    DynamoKeys(clients.dynamodb, settings.table_name).put_key(KEY, TENANT)
    file = world.upload(requests(1))
    wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    headers, authorizer = [("Content-Type", "application/json")], {"tenant": TENANT, "principalId": TENANT}
    get = proxy_event("GET", f"/batches/{world.create(file)}", (), headers, b"", authorizer)
    post = proxy_event("POST", "/batches", (), headers, json.dumps(wanted).encode(), authorizer)
    token = {
        "type": "TOKEN",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:api/v1/GET/batches",
        "authorizationToken": f"Bearer {KEY}",
    }
    everywhere = AWS_ENVIRONMENT | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "AWS_ENDPOINT_URL": url,
    }
    uncompiled = {"PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"}
    own = {
        each.name: everywhere | each.settings.of(settings).to_environment() for each in functions(settings)
    }
    return [
        Start(BARE, everywhere),
        Start(BOTO3, everywhere, "boto3"),
        Start(BOTO3_CALL, everywhere, "read_an_item"),
        *(Start(f"{each.name}: imports", own[each.name], each.module) for each in functions(settings)),
        Start("api: imports, without bytecode", own["api"] | uncompiled, "functions.api.handler"),
        *(
            Start(f"{function}: imports and {what}", own[function], f"functions.{function}.handler", event)
            for function, what, event in (
                ("authorize", "first request", token),
                ("api", "first GET of a batch", get),
                ("api", "first POST of a batch", post),
            )
        ),
    ]


def _take_turns(starts: list[Start], rounds: int) -> dict[str, list[Used]]:
    for each in starts:
        _start(each)  # compiles what has not been compiled yet
    used: dict[str, list[Used]] = {each.name: [] for each in starts}
    for _ in range(rounds):
        for each in starts:
            used[each.name].append(_start(each))
    return used


def _start(start: Start) -> Used:
    """Run a new process. It has no `site`, which Lambda's does not spend time on either."""
    event = json.dumps(start.event) if start.event else ""
    process = subprocess.Popen(
        [sys.executable, "-P", "-S", "-s", "-c", DRIVER, start.module, event],
        env=start.environment,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    *_, memory = process.stdout.read().split()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, start.name
    return Used(used.ru_utime + used.ru_stime, int(memory) / KIB_PER_MIB)


def _figures(used: Mapping[str, list[Used]]) -> Iterator[Figure]:
    for name, values in used.items():
        if name == BARE:
            continue
        reference = BOTO3_CALL if "first" in name else BOTO3
        own, others = _above(used, name), _above(used, reference)
        yield Figure(f"{name}", 1_000 * statistics.median(own), "ms of CPU time")
        if name not in (BOTO3, BOTO3_CALL):
            ratio = statistics.median(mine / other for mine, other in zip(own, others, strict=True))
            bar = "≤ 1.3" if name in ("api: imports", "authorize: imports") else ""
            yield Figure(f"{name}, ÷ {reference}", ratio, "ratio", bar)
        yield Figure(f"{name}, peak memory", statistics.median(each.memory for each in values), "MiB")


def _above(used: Mapping[str, list[Used]], name: str) -> list[float]:
    """By how much each round took longer than the process that did nothing in it."""
    pairs = zip(used[name], used[BARE], strict=True)
    return [each.seconds - bare.seconds for each, bare in pairs]


def _layer_sizes() -> Iterator[Figure]:
    code = build(Platform.of("arm64"))
    for name, folder in (("dependencies", code.dependencies), ("nightlane", code.shared)):
        yield Figure(f"layers/{name} on arm64, unzipped", size_of(folder) / MB, "MB")
        yield Figure(f"layers/{name} on arm64, zipped", _zipped(folder) / MB, "MB")


def _zipped(folder: Path) -> int:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in sorted(folder.rglob("*")):
                archive.write(each, each.relative_to(folder))
        return file.tell()


if __name__ == "__main__":
    name, path = sys.argv[1:]
    save(
        result := measure(ROUNDS * 500, Path(path)),
        f"python -m bench.coldstart {name} CHECKOUT",
        RESULTS / f"coldstart-{name}.json",
    )
    show(f"coldstart, {name}", result)
