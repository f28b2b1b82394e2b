"""``sji-edge evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import RUNS, SPLIT, BitDepth, Dataset, Runs, Split, Threads

LIMITS = "Limits"
REPORT = "Report"
STRESS = "Stress test"
UNKNOWN = "Unknown pictures"


def evaluate(
    data: Dataset,
    subject: Annotated[
        Path | None,
        typer.Option("--of", help="Run, model.onnx or engine to evaluate; default: the newest run."),
    ] = None,
    split: Split = SPLIT,
    bit_depth: BitDepth = None,
    threads: Threads = 0,
    runs: Runs = RUNS,
    max_escape: Annotated[
        str,
        typer.Option(
            help="Choose the limits on the validation split for this escape rate, such as 0.5%.",
            rich_help_panel=LIMITS,
        ),
    ] = "",
    review_budget: Annotated[
        str,
        typer.Option(
            help="Choose the limits on the validation split so that at most this share of the good joints, such as 1%, "
            "goes to REVIEW.",
            rich_help_panel=LIMITS,
        ),
    ] = "",
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Write the chosen limits into the run; then export it and build its engine again.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="New folder for the report; default: a folder in reports/.", rich_help_panel=REPORT
        ),
    ] = None,
    shown: Annotated[
        int, typer.Option(min=0, help="Number of joints in each gallery.", rich_help_panel=REPORT)
    ] = 12,
    replicates: Annotated[
        int, typer.Option(min=100, help="Number of bootstrap resamples.", rich_help_panel=REPORT)
    ] = 1000,
    attention: Annotated[
        str,
        typer.Option(
            help="Method for the maps that show where the model looks: grad, eigen or none.",
            rich_help_panel=REPORT,
        ),
    ] = "grad",
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Run to compute the maps from when an engine is evaluated.", rich_help_panel=REPORT
        ),
    ] = None,
    stress: Annotated[
        bool,
        typer.Option(
            "--stress",
            help="Also judge every joint with added noise, blur, dimming, shift and rotation.",
            rich_help_panel=STRESS,
        ),
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another run or engine for the stress plot; repeatable.", rich_help_panel=STRESS),
    ] = None,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Also judge pictures that are like nothing learned, made from the good joints: moved, half missing, "
            "covered, with a wire, a solder ball, and so on.",
            rich_help_panel=UNKNOWN,
        ),
    ] = False,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Folder of board images in which joints are changed too: absent, covered, turned by 180°, and so on.",
            rich_help_panel=UNKNOWN,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe folder of the board in --frames.", rich_help_panel=UNKNOWN),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed for the unknown pictures.", rich_help_panel=UNKNOWN)
    ] = 0,
) -> None:
    """Measure a run or an engine on labelled joints, and write a report with intervals, curves and the worst joints.

    The report is report.html (one file, needs no network) and report.json.

    Example: `sji-edge evaluate data/solder-joints --of engines/demo --max-escape 0.5% --unknown`

    Example: `sji-edge evaluate data/solder-joints --review-budget 2% --apply`
    """
    from rich.markup import escape

    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.evaluation import print_evaluation
    from sji_edge.core.review_budget import parse_budget
    from sji_edge.evaluation.operating_point import parse_rate
    from sji_edge.workflows.evaluate.evaluate import evaluate as evaluate_model

    with console().status("evaluating") as status:
        result = evaluate_model(
            data,
            subject,
            runs=runs,
            split=split,
            bit_depth=bit_depth,
            max_escape=parse_rate(max_escape) if max_escape else None,
            review_budget=parse_budget(review_budget) if review_budget else None,
            apply=apply,
            attention=attention,
            explain=explain,
            stress=stress,
            unknown=unknown,
            frames=frames,
            recipe=recipe,
            seed=seed,
            against=against or (),
            shown=shown,
            threads=threads,
            replicates=replicates,
            output=output,
            progress=lambda step: status.update(f"evaluating: {escape(step)}"),
        )
    print_evaluation(result.document)
    if result.applied_to is not None:
        console().print(
            f"limits written to {result.applied_to}; next: sji-edge export {result.applied_to}", markup=False
        )
    console().print(f"report: {result.page}", markup=False)
