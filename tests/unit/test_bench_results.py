"""Results of benchmarks are saved completely, with the command that made them."""

import json
from pathlib import Path

import pytest

from bench.command import parse
from bench.result import RESULTS, Chart, Figure, Result, load, save
from bench.saved_tables import PAGES, TABLES, with_saved


def test_a_saved_result_is_loaded_unchanged(tmp_path: Path) -> None:
    figures = [Figure("peak", 1.5, "MiB", "≤ 2"), Figure("calls", 3, "calls")]
    chart = Chart("Latency", "ms", 0, 2, 6, 6, stacked=True, series={"p50": [1.0, None], "p99": [2.0, 0.0]})
    bars = Chart("Memory", "MiB", 6, 2, 6, 6, series={"peak": [80.0]}, points=["server"], logarithmic=True)
    command = "python -m bench cost"
    result = Result(figures, [chart, bars], "One batch.", command)
    save(result, command, tmp_path / "new" / "cost.json")
    assert load(tmp_path / "new" / "cost.json") == result


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_saved_result_is_from_a_full_run_of_the_command_it_names(path: Path) -> None:
    bench, _, earlier_version = path.stem.partition("-")
    command = f"bench.{bench} {earlier_version} CHECKOUT" if earlier_version else f"bench {bench}"
    assert json.loads(path.read_text())["command"] == f"python -m {command}"
    result = load(path)
    assert result.figures or result.charts


def test_all_benchmarks_run_without_names_and_otherwise_those_named() -> None:
    assert parse(["cost", "idle"], ["plots"], []).names == ["cost", "idle"]
    assert parse(["cost", "idle"], ["plots"], ["plots", "idle"]).names == ["plots", "idle"]


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["cost", "idle"], ["plots"], ["costs"])
    assert "there is no benchmark 'costs'" in capsys.readouterr().err


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_the_tables_of_the_saved_results(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert "<!-- bench " in page
    assert with_saved(page) == page, "`python -m bench tables` updates it"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_replaces_the_one_below_its_marker(name: str) -> None:
    page = f"before\n\n<!-- bench {name} -->\n| old |\n| --- |\n\nafter\n"
    assert with_saved(page) == f"before\n\n<!-- bench {name} -->\n{TABLES[name]()}\n\nafter\n"


def test_every_table_of_a_saved_result_is_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert all(f"<!-- bench {name} -->" in pages for name in TABLES)
