"""Where the CPU time of a worker goes, beside a bare aiohttp loop in the same run.

`python -m bench.profile NAME CHECKOUT` profiles another checkout, such as an earlier version, and saves the
result as `profile-NAME.json`. All times are CPU time, which depends little on what else the machine does.
"""

import os
import pstats
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.result import RESULTS, Figure, Result, save, show

ROOT = Path(__file__).parents[1]
# As many as the bare loop of an earlier version sends, whatever it is given.
LINES, ROUNDS = 10_000, 3
# Runs in the checkout that is profiled, whose `bench.throughput` may be older than this one.
DRIVER = """
from bench import throughput
throughput.FAST_LINES, throughput.ROUNDS = {lines}, 1
measure = throughput.requests_per_second
measure(*[{lines}][: measure.__code__.co_argcount])
"""
# Imported by every Python process of the run. It measures the event loops of the bare loop and of the worker.
SITE = """
import asyncio, cProfile, os, sys, time

kind = "bare" if "bench.throughput" in sys.orig_argv else "worker" if "infer" in sys.orig_argv else None
run = asyncio.Runner.run

def measured(self, *arguments, **options):
    profile = cProfile.Profile(time.thread_time) if os.environ["BENCH_PROFILE"] == "calls" else None
    process, thread = time.process_time(), time.thread_time()
    if profile:
        profile.enable()
    try:
        return run(self, *arguments, **options)
    finally:
        if profile:
            profile.disable()
        process, thread = time.process_time() - process, time.thread_time() - thread
        place = f"{os.environ['BENCH_FOLDER']}/{kind}-{os.getpid()}-{time.monotonic_ns()}"
        with open(place + ".cpu", "w") as file:
            file.write(f"{process} {thread}")
        if profile:
            profile.dump_stats(place + ".stats")

if kind:
    asyncio.Runner.run = measured
"""
BARE, WORKER = "bare", "worker"
NAMES = {BARE: "bare aiohttp loop", WORKER: "worker"}
# By the file of a function. The time of a built-in function, such as `socket.send`, is its caller's.
AREAS = {
    "aiohttp and yarl": r"/(aiohttp|yarl|multidict|propcache|frozenlist|attr|http)/",
    "Nightlane's HTTP client": r"/nightlane/upstream/",
    "JSON: lines, answers, results": r"/nightlane/(wire/|domain/(lines|parts)\.py|domain/inference/"
    r"(outcomes|results|tolerant_json|lines|lane_lines|lane_source|bodies|table)\.py)|/json/",
    "asyncio, sockets": r"/(asyncio|selectors)\b",
    "the rest of the worker": r"/(nightlane|functions|bench)/",
}
THREADS, OTHER = "other threads: reading lines, table, objects", "everything else"


def measure(max_lines: int) -> Result:
    """The profile of this checkout."""
    return profile(ROOT, min(LINES, max_lines))


def profile(checkout: Path, lines: int) -> Result:
    """Measure the CPU time of a request, and in another run where it goes."""
    rounds = []
    for _ in range(ROUNDS):
        with TemporaryDirectory() as folder:
            _run(checkout, lines, "cpu", Path(folder))
            rounds.append({kind: _seconds(Path(folder), kind) for kind in NAMES})
    with TemporaryDirectory() as folder:
        _run(checkout, lines, "calls", Path(folder))
        areas = {kind: _areas(Path(folder), kind) for kind in NAMES}
    # Other processes on the machine only add to it.
    seconds = {kind: min(each[kind] for each in rounds) for kind in NAMES}
    return Result(list(_figures(seconds, areas, lines)))


def _run(checkout: Path, lines: int, what: str, folder: Path) -> None:
    """Run a bare loop and a batch; each event loop leaves files in the folder."""
    (folder / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    paths = os.pathsep.join(map(str, (folder, checkout / "layers" / "nightlane", checkout)))
    environment = os.environ | {"PYTHONPATH": paths, "BENCH_PROFILE": what, "BENCH_FOLDER": str(folder)}
    driver = [sys.executable, "-c", DRIVER.format(lines=lines)]
    subprocess.run(driver, cwd=checkout, env=environment, check=True)


def _seconds(folder: Path, kind: str) -> tuple[float, float]:
    """CPU seconds of the processes of a kind, and of their event loops alone."""
    found = [path.read_text(encoding="utf-8").split() for path in folder.glob(f"{kind}-*.cpu")]
    return sum(float(process) for process, _ in found), sum(float(loop) for _, loop in found)


def _areas(folder: Path, kind: str) -> Counter[str]:
    """CPU seconds of the event loops by area, slowed down by the profiler."""
    areas: Counter[str] = Counter()
    for path in folder.glob(f"{kind}-*.stats"):
        stats: Any = pstats.Stats(str(path))
        for (file, _, _), (_, _, own, _, callers) in stats.stats.items():
            if file != "~":
                areas[_area(file)] += own
            else:
                for (caller, _, _), (_, _, its_own, _) in callers.items():
                    areas[_area(caller)] += its_own
    return areas


def _area(file: str) -> str:
    return next((area for area, pattern in AREAS.items() if re.search(pattern, file)), OTHER)


def _figures(
    seconds: Mapping[str, tuple[float, float]], areas: Mapping[str, Counter[str]], lines: int
) -> Iterator[Figure]:
    for kind, (process, _) in seconds.items():
        yield Figure(NAMES[kind], process / lines * 1e6, "µs of CPU per request")
    yield Figure(f"{NAMES[WORKER]} ÷ {NAMES[BARE]}", seconds[WORKER][0] / seconds[BARE][0], "ratio")
    for kind, (process, loop) in seconds.items():
        shares = {area: loop / process * own / areas[kind].total() for area, own in areas[kind].items()}
        for area in (*AREAS, OTHER):
            yield Figure(f"{NAMES[kind]}: {area}", 100 * shares.get(area, 0.0), "% of its CPU time")
        yield Figure(f"{NAMES[kind]}: {THREADS}", 100 * (1 - loop / process), "% of its CPU time")


def main() -> None:
    name, checkout = sys.argv[1], Path(sys.argv[2]).resolve()
    result = profile(checkout, LINES)
    save(result, f"python -m bench.profile {name} CHECKOUT", RESULTS / f"profile-{name}.json")
    show(f"profile of {name}", result)


if __name__ == "__main__":
    main()
