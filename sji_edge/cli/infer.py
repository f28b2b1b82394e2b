"""``sji-edge infer``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from contextlib import ExitStack

    from sji_edge.core.protocols import BoardRecord, Sink
    from sji_edge.inspection.layout import Layout
    from sji_edge.inspection.recorder import OnBoard
    from sji_edge.inspection.tally import RunSummary
    from sji_edge.inspection.work import Model
    from sji_edge.recipe.board import Recipe
    from sji_edge.runtime.bundle import Bundle

EXIT_INTERRUPTED = 130
SHOWN_FAILS = 10
COLOURS = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red", "ERROR": "magenta"}


def infer(
    stream: Annotated[
        str,
        typer.Option(help="Folder of images or frames, image, video file, camera0, 0 or /dev/video0."),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Folder with board.json and joints.csv; without one each image is one joint."),
    ] = None,
    engine: Annotated[
        Path | None, typer.Option(help="Engine bundle; default: the newest released one under engines/.")
    ] = None,
    require_signature: Annotated[
        Path | None, typer.Option(help="Public key (PEM); refuse an engine that it did not sign.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the records; they are added to.")] = Path(
        "inspections"
    ),
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 lets it choose.")] = 0,
    save_images: Annotated[
        Path | None,
        typer.Option(help="Paint each judged frame into this folder; a picture of that name is replaced."),
    ] = None,
) -> Any:
    """Judge a stream: a verdict for each joint and each board, recorded in SQLite and JSONL.

    Ctrl-C finishes the frame in flight and ends with exit code 130; a second one stops at once.

    Example: `sji-edge infer --stream frames/ --recipe boards/amplifier`
    """
    from contextlib import ExitStack, closing

    from sji_edge.cli.interrupt import Interrupt
    from sji_edge.core.clock import SystemClock
    from sji_edge.inspection.judge import BoardJudge
    from sji_edge.inspection.loop import Inspection, LoopSettings
    from sji_edge.recipe.board import Recipe
    from sji_edge.runtime.bundle import newest_released, open_bundle, open_engine
    from sji_edge.streams.spec import open_source

    clock = SystemClock()
    run = _run_name(clock.utc())
    loaded = Recipe.load(recipe) if recipe else None
    with ExitStack() as stack:
        # The stream is opened first and the records last: what is wrong leaves nothing behind.
        source = stack.enter_context(closing(open_source(stream, clock, skip=_not_frames(loaded))))
        folder = engine or newest_released(Path("engines"))
        bundle = open_bundle(folder, require_signature=require_signature)
        loaded_engine = stack.enter_context(closing(open_engine(bundle, threads)))
        judge = BoardJudge(loaded_engine, _model(bundle), _layout(bundle, loaded), clock, run)
        judge.warm_up()
        database, lines = output / "inspections.db", output / f"{run}.jsonl"
        for place in filter(None, (output, save_images)):
            _make_folder(place)
        sinks = _open_sinks(stack, database, lines)
        interrupt = stack.enter_context(Interrupt())
        inspection = Inspection(
            source,
            judge,
            sinks,
            clock,
            LoopSettings(max_frames=max_frames),
            stop=interrupt.asked,
            on_board=_on_board(save_images, bundle, shown=loaded is not None),
        )
        try:
            inspection.run()
        finally:
            summary = inspection.summary()
            _print_summary(summary, bundle, database, lines)
    if interrupt.asked():
        typer.echo("interrupted: every frame so far is on record", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    return summary


def _run_name(utc: str) -> str:
    """A run's name from its start: ``20250131T080910.123456Z``."""
    return utc.replace("+00:00", "Z").replace("-", "").replace(":", "")


def _not_frames(recipe: "Recipe | None") -> list[Path]:
    return [recipe.golden_path] if recipe else []


def _open_sinks(stack: "ExitStack", database: Path, lines: Path) -> list["Sink"]:
    """Open the sinks, the durable one first: what the JSON lines show is in the database already."""
    from contextlib import closing

    from sji_edge.sinks import SINKS

    return [
        stack.enter_context(closing(SINKS.get(kind)(path)))
        for kind, path in (("sqlite", database), ("jsonl", lines))
    ]


def _make_folder(folder: Path) -> None:
    from sji_edge.core.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}",
            hint="choose another --output or --save-images",
        ) from error


def _model(bundle: "Bundle") -> "Model":
    from sji_edge.inspection.work import Model

    return Model(bundle.card.classes, bundle.card.good_index, bundle.preprocess, bundle.engine_sha256)


def _layout(bundle: "Bundle", recipe: "Recipe | None") -> "Layout":
    from sji_edge.inspection.layout import ImageLayout, RecipeLayout

    if recipe is None:
        return ImageLayout(bundle.preprocess, bundle.thresholds)
    return RecipeLayout(recipe, bundle.preprocess, bundle.thresholds)


def _on_board(pictures: Path | None, bundle: "Bundle", shown: bool) -> "OnBoard":
    """Return what happens after each board: a line on the terminal, a picture in the folder."""
    from sji_edge.cli.show import console
    from sji_edge.core.protocols import Frame
    from sji_edge.inspection.overlay import save_picture
    from sji_edge.inspection.work import Judgement

    terminal = console()

    def on_board(frame: Frame, judgement: Judgement) -> None:
        if pictures is not None:
            save_picture(pictures, frame, judgement, bundle.preprocess)
        if shown:
            terminal.print(_board_line(judgement.record))

    return on_board


def _board_line(record: "BoardRecord") -> str:
    from collections import Counter

    from rich.markup import escape

    counts = Counter(joint.verdict for joint in record.joints)
    colour = COLOURS[record.verdict]
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in counts)
    residual = record.alignment_residual_px
    aligned = "" if residual is None else f"  residual {residual:.2f} px"
    what = record.cause or listed
    return f"[{colour}]{record.verdict:<6}[/] {escape(record.frame_name)}  {escape(what)}{aligned}"


def _print_summary(summary: "RunSummary", bundle: "Bundle", database: Path, lines: Path) -> None:
    from rich.table import Table

    from sji_edge.cli.show import console
    from sji_edge.core.verdict import VERDICTS

    terminal = console()
    verdicts = Table(title=f"{summary.captured} frames, {summary.judged} judged")
    for column in ("", *VERDICTS):
        verdicts.add_column(column, justify="right" if column else "left", style=COLOURS.get(column))
    verdicts.add_row("boards", *(str(summary.boards[verdict]) for verdict in VERDICTS))
    verdicts.add_row("joints", *(str(summary.joints[verdict]) for verdict in VERDICTS))
    terminal.print(verdicts)
    for cause, count in summary.errors.items():
        terminal.print(f"[magenta]ERROR[/] {cause}: {count} board{'s' if count > 1 else ''}")
    _print_fails(summary)
    _print_latencies(summary)
    manifest = bundle.manifest
    terminal.print(
        f"{summary.joints_per_s:.0f} joints/s over {summary.wall_s:.2f} s, reading included; "
        f"engine {manifest.name} ({manifest.backend} {manifest.precision})"
    )
    terminal.print(f"records: {database} and {lines}")


def _print_fails(summary: "RunSummary") -> None:
    from rich.table import Table

    from sji_edge.cli.show import console

    if not summary.first_fails:
        return
    table = Table(title="First joints that failed")
    for column in ("frame", "joint", "score", "looks like"):
        table.add_column(column, justify="right" if column == "score" else "left")
    for fail in summary.first_fails[:SHOWN_FAILS]:
        table.add_row(fail.frame_name, fail.joint.refdes, f"{fail.joint.score:.3f}", fail.joint.label)
    console().print(table)


def _print_latencies(summary: "RunSummary") -> None:
    from rich.table import Table

    from sji_edge.cli.show import console

    table = Table(title="Latency a board, ms")
    for column in ("stage", "p50", "p99", "max"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, latency in summary.latency.items():
        table.add_row(stage, *(f"{value:.2f}" for value in (latency.p50_ms, latency.p99_ms, latency.max_ms)))
    if summary.latency:
        console().print(table)
