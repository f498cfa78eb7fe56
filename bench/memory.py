"""Peak memory of plan, infer and assemble: 50,000 lines of 200 MB against 500 lines."""

from bench.batches import input_file, used_by
from bench.report import Figure, report

FUNCTIONS = ("plan", "infer", "assemble")
SMALL_LINES, LARGE_LINES = 500, 50_000
LINE_BYTES = 3_950
KIB_A_MIB = 1_024


def peaks(lines: int) -> dict[str, float]:
    """MiB by function, in processes that ran this one batch."""
    used = used_by(input_file(lines, LINE_BYTES))
    return {name: used[name].peak_rss_kib / KIB_A_MIB for name in FUNCTIONS}


def main() -> None:
    small, large = peaks(SMALL_LINES), peaks(LARGE_LINES)
    size = len(input_file(LARGE_LINES, LINE_BYTES))
    figures = [Figure("size of the large input", size / 1e6, "MB")]
    for name in FUNCTIONS:
        figures += [
            Figure(f"{name}, {SMALL_LINES} lines", small[name], "MiB"),
            Figure(f"{name}, {LARGE_LINES:,} lines", large[name], "MiB"),
            Figure(f"{name}, ratio", large[name] / small[name], "ratio", "≤ 1.3"),
        ]
    report("memory", figures)
