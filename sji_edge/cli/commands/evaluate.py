"""``sji-edge evaluate``."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[Path, typer.Argument(help="Dataset: DATA/SPLIT/CLASS/IMAGE.")],
    subject: Annotated[
        Path | None, typer.Option("--of", help="Run, model.onnx or engine; default: the newest run.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    max_escape: Annotated[
        str, typer.Option(help="Choose the limits on validation for this escape rate, as 0.5%.")
    ] = "",
    apply: Annotated[
        bool, typer.Option("--apply", help="Make these limits the run's; export and build it again then.")
    ] = False,
    attention: Annotated[str, typer.Option(help="grad, eigen or none: where the model looks.")] = "grad",
    explain: Annotated[Path | None, typer.Option(help="The run that an engine's maps come from.")] = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Judge noisy, blurred, dimmed, shifted and turned joints, too.")
    ] = False,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another run or engine in the stress plot; repeatable.")
    ] = None,
    shown: Annotated[int, typer.Option(min=0, help="Joints of each gallery.")] = 12,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: the backend chooses.")] = 0,
    replicates: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 1000,
    output: Annotated[
        Path | None, typer.Option(help="New folder of the report; default: under reports/.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Report what a run or an engine means on the line: figures with intervals, curves, the worst joints.

    Writes report.html (one file, no network) and report.json.

    Example: `sji-edge evaluate data/solder-joints --of engines/demo --max-escape 0.5%`
    """
    from sji_edge.cli.render.common import console, settings_or_usage_error
    from sji_edge.core.extras import require

    require("matplotlib", "jinja2", purpose="sji-edge evaluate")
    from sji_edge.cli.render.evaluation import print_evaluation
    from sji_edge.core.errors import UsageError
    from sji_edge.core.files import fresh_name
    from sji_edge.core.registry import nearest
    from sji_edge.evaluation.operating_point import parse_rate
    from sji_edge.workflows.artifacts import newest_run
    from sji_edge.workflows.compare.subjects import CARD_FILE
    from sji_edge.workflows.evaluate import EvaluationSettings, run_evaluation, set_thresholds

    kinds = ["grad", "eigen", "none"]
    if attention not in kinds:
        raise UsageError(f"unknown --attention {attention!r}", hint=nearest(attention, kinds))
    if against and not stress:
        raise UsageError("--against goes with --stress", hint="add --stress, or use sji-edge parity")
    if apply and not max_escape:
        raise UsageError("--apply goes with --max-escape", hint="for example --max-escape 0.5% --apply")
    chosen = subject or newest_run(runs)
    if apply and not (chosen / CARD_FILE).is_file():
        raise UsageError(
            f"{chosen} is no run: only a run's limits can be changed", hint="apply them to its run"
        )
    reports = Path("reports")
    settings = settings_or_usage_error(
        EvaluationSettings,
        subject=chosen,
        data=data,
        split=split,
        max_escape=parse_rate(max_escape) if max_escape else None,
        attention=attention,
        explain=explain,
        stress=stress,
        against=tuple(against or ()),
        shown=shown,
        threads=threads,
        replicates=replicates,
        output=output or reports / fresh_name(reports, f"{chosen.resolve().name}-{split}"),
    )
    with console().status("evaluating") as status:
        document = run_evaluation(settings, lambda step: status.update(f"evaluating: {step}"))
    print_evaluation(document)
    if apply and document.operating_point is not None:
        set_thresholds(chosen, document.operating_point.thresholds)
        console().print(
            f"limits written to {chosen / CARD_FILE}; next: sji-edge export {chosen}", markup=False
        )
    console().print(f"report: {settings.output / 'report.html'}", markup=False)
