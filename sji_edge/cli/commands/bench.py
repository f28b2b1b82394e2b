"""``sji-edge bench``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, ENGINES_HELP, RUNS, RUNS_HELP

MEASURED, RESULT, FOLDERS = "Measurement", "Result", "Folders"


def bench(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(metavar="ENGINE", help="Engine folders; default: the newest released engine."),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            rich_help_panel=MEASURED,
            help="torch: also measure PyTorch FP32 of the same run, as the baseline.",
        ),
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=MEASURED,
            help="Run for --against torch; default: the run in --runs that has the model's name.",
        ),
    ] = None,
    batches: Annotated[
        str, typer.Option(rich_help_panel=MEASURED, help="Batch sizes, separated by commas.")
    ] = "1,8,32,64,100",
    threads: Annotated[
        str,
        typer.Option(
            rich_help_panel=MEASURED,
            help="Numbers of CPU threads, separated by commas; 0 lets the backend choose.",
        ),
    ] = "1,2",
    seconds: Annotated[
        float,
        typer.Option(
            rich_help_panel=MEASURED,
            min=0.01,
            help="Minimum total time of the timed calls for each point, in s.",
        ),
    ] = 2.0,
    min_calls: Annotated[
        int,
        typer.Option(rich_help_panel=MEASURED, min=1, help="Minimum number of timed calls for each point."),
    ] = 20,
    memory: Annotated[
        bool,
        typer.Option(rich_help_panel=MEASURED, help="Measure peak memory, each engine in its own process."),
    ] = True,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json-file",
            rich_help_panel=RESULT,
            help="File to write all figures to, as JSON; replaced if it exists.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(rich_help_panel=RESULT, help="File to draw the results to (.png, .svg or .pdf)."),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=RESULT,
            help="Condition that ends the command with exit 4, such as p99_ms@1>8; repeatable.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", rich_help_panel=FOLDERS, help=RUNS_HELP)] = RUNS,
    engines: Annotated[Path, typer.Option("--engines", rich_help_panel=FOLDERS, help=ENGINES_HELP)] = ENGINES,
) -> None:
    """Measure latency and throughput of engines, and of PyTorch, alternating in one process.

    Every call counts, outliers included. A condition of --fail-if without a batch size applies to every batch size.

    Example: `sji-edge bench engines/demo --against torch --fail-if "p99_ms@1>8"`
    """
    from sji_edge.cli.render.bench import print_bench
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.bench import bench as measure

    with console().status("measuring") as status:
        result = measure(
            bundles or (),
            against=against,
            run=run,
            batches=_numbers(batches, "--batches"),
            threads=_numbers(threads, "--threads"),
            seconds=seconds,
            min_calls=min_calls,
            memory=memory,
            fail_if=fail_if or (),
            json_file=json_file,
            plot=plot,
            runs=runs,
            engines=engines,
            progress=lambda step: status.update(f"measuring: {step}"),
        )
    print_bench(result.report, result.disturbed)
    result.require_pass()


def _numbers(text: str, option: str) -> list[int]:
    from sji_edge.core.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 7 for word in words):
        raise UsageError(f"{option} must be whole numbers separated by commas (got {text!r})")
    return [int(word) for word in words]
