"""Run benchmarks, save their results as JSON, and draw them: `python -m bench --help`."""

from pathlib import Path

from bench import (
    adaptive,
    coldstart,
    comparison,
    cost,
    dashboard,
    home,
    idle,
    interactive,
    line_bill,
    loops,
    memory,
    plots,
    prefix,
    profile,
    racing,
    recovery,
    saved_tables,
    scale,
    tables,
    throughput,
    tls,
    uploads,
    upstreams,
)
from bench.command import MAX_LINES, parse
from bench.result import RESULTS, load, save, show

# Each function takes the maximum number of lines per batch.
BENCHMARKS = {
    "comparison": comparison.measure,
    "recovery": recovery.measure,
    "racing": racing.measure,
    "bill": line_bill.measure,
    "throughput": throughput.measure,
    "loops": loops.measure,
    "profile": profile.measure,
    "home": home.measure,
    "memory": memory.measure,
    "tls": tls.measure,
    "prefix": prefix.measure,
    "uploads": uploads.measure,
    "upstreams": upstreams.measure,
    "cost": cost.measure,
    "scale": scale.measure,
    "idle": idle.measure,
    "adaptive": adaptive.measure,
    "interactive": interactive.measure,
    "coldstart": coldstart.measure,
    "dashboard": dashboard.measure,
}
ROOT = Path(__file__).parents[1]
QUICK = ROOT / ".build" / "bench"


def main() -> None:
    """Run benchmarks, save their results as JSON, and draw them."""
    arguments = parse(BENCHMARKS, ("plots", "tables"))
    quick = arguments.lines < MAX_LINES
    results, pictures = (QUICK, QUICK) if quick else (RESULTS, ROOT / "docs" / "figures")
    for name in arguments.names:
        if name == "tables":
            print(*(table() for table in (*tables.TABLES, idle.deployed_table)), sep="\n\n")
            for page in saved_tables.PAGES:
                page.write_text(saved_tables.with_saved(page.read_text("utf-8")), "utf-8")
        elif name == "plots":
            plots.draw_all(results, pictures)
        else:
            command = f"python -m bench {name}" + f" --lines {arguments.lines}" * quick
            path = results / f"{name}.json"
            save(BENCHMARKS[name](arguments.lines), command, path)
            show(name, load(path))
            plots.draw_all(results, pictures, name)


main()
