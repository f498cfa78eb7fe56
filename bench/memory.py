"""Peak memory: 50,000 lines of 200 MB against 500 lines, and large answers within infer's memory."""

from bench.batches import embedding_file, input_file, rig, run_batch, used_by
from bench.large_answers import large_answers
from bench.report import Figure, report
from infra.resources import functions
from nightlane.settings import MIB, Settings

FUNCTIONS = ("plan", "infer", "assemble")
SMALL_LINES, LARGE_LINES = 500, 50_000
LINE_BYTES = 3_950
KIB_A_MIB = 1_024
ANSWERS = 40
ANSWER_BYTES = (4 * MIB, 15 * MIB)


def peaks(lines: int) -> dict[str, float]:
    """MiB by function, in processes that ran this one batch."""
    used = used_by(input_file(lines, LINE_BYTES))
    return {name: used[name].peak_rss_kib / KIB_A_MIB for name in FUNCTIONS}


def peak_with_large_answers(size: int) -> float:
    """MiB of infer, ten answers of so many bytes at once."""
    with large_answers(size) as url, rig(url) as place:
        run_batch(place, embedding_file(ANSWERS), "/v1/embeddings")
        return place.ledger.functions["infer"].peak_rss_kib / KIB_A_MIB


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
    memory = next(each.memory for each in functions(Settings()) if each.name == "infer")
    for answer in ANSWER_BYTES:
        name = f"infer, ten answers of {answer // MIB} MiB at once"
        figures.append(Figure(name, peak_with_large_answers(answer), "MiB", f"≤ {memory}"))
    report("memory", figures)
