"""The command line of the benchmarks."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Sequence

MAX_LINES = 50_000


def parse(
    benchmarks: Collection[str], others: Collection[str], words: Sequence[str] | None = None
) -> Namespace:
    """Read `names`, by default those of all benchmarks, and `lines` from the words of a command."""

    def known(name: str) -> str:
        if name in benchmarks or name in others:
            return name
        raise ArgumentTypeError(f"there is no benchmark {name!r}")

    parser = ArgumentParser(prog="python -m bench", description="Run all benchmarks, or only those named.")
    helps = (
        f"{', '.join(benchmarks)}; plots: redraw the saved results; "
        "tables: print the model's tables, and put the saved results into the documentation"
    )
    # With `choices`, Python 3.11 refuses a command without names.
    parser.add_argument("names", nargs="*", type=known, default=[*benchmarks], metavar="NAME", help=helps)
    helps = "a quick run with at most N lines per batch; results and pictures go to .build/bench"
    parser.add_argument("--lines", type=int, default=MAX_LINES, metavar="N", help=helps)
    return parser.parse_args(words)
