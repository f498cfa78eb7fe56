"""Peak memory: a batch of 50,000 lines (200 MB) compared with 500 lines, and infer with large answers."""

from bench.batches import batch_of, input_file, measure_functions, run_batch, shuffled_bodies, start_rig
from bench.endpoint import embedding_answer, endpoint
from bench.result import Figure, Result
from infra.resources import functions
from nightlane.api_settings import MIB
from nightlane.domain.grouping import MAX_GROUPS
from nightlane.settings import Settings

FUNCTIONS = ("plan", "infer", "assemble")
SMALL_LINES = 500
LINE_BYTES = 3_950
PROMPT_BYTES = 3_750
KIB_PER_MIB = 1_024
ANSWERS = 40
ANSWER_BYTES = (4 * MIB, 15 * MIB)


def measure(max_lines: int) -> Result:
    """Peak MiB of each function."""
    few = min(SMALL_LINES, max_lines)
    data = input_file(max_lines, LINE_BYTES)
    small, large = peak_memory(input_file(few, LINE_BYTES)), peak_memory(data)
    bodies = shuffled_bodies(max_lines, 2 * MAX_GROUPS, PROMPT_BYTES)
    ordered = peak_memory(batch_of("/v1/chat/completions", bodies))
    figures = [Figure("size of the large input", len(data) / 1e6, "MB")]
    for name in FUNCTIONS:
        figures += [
            Figure(f"{name}, {few} lines", small[name], "MiB"),
            Figure(f"{name}, {max_lines:,} lines", large[name], "MiB"),
            Figure(f"{name}, ratio", large[name] / small[name], "ratio", "≤ 1.3"),
            Figure(f"{name}, {max_lines:,} lines in {MAX_GROUPS} groups", ordered[name], "MiB"),
            Figure(f"{name}, ratio with groups", ordered[name] / small[name], "ratio", "≤ 1.3"),
        ]
    memory = next(each.memory for each in functions(Settings()) if each.name == "infer")
    for answer in ANSWER_BYTES:
        peak = peak_with_large_answers(answer, min(ANSWERS, max_lines))
        name = f"infer, ten answers of {answer // MIB} MiB at once"
        figures.append(Figure(name, peak, "MiB", f"≤ {memory}"))
    return Result(figures)


def peak_memory(data: bytes) -> dict[str, float]:
    """Peak MiB of each function, in processes that run only this batch."""
    used = measure_functions(data)
    return {name: used[name].peak_rss_kib / KIB_PER_MIB for name in FUNCTIONS}


def peak_with_large_answers(size: int, answers: int) -> float:
    """Peak MiB of infer with ten answers of `size` bytes at once."""
    with endpoint("embeddings", embedding_answer(size)) as url, start_rig(url) as rig:
        request = b'{"model":"large","input":["x"]}'
        run_batch(rig, batch_of("/v1/embeddings", [request] * answers), "/v1/embeddings")
        return rig.ledger.functions["infer"].peak_rss_kib / KIB_PER_MIB
