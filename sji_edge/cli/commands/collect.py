"""``sji-edge collect``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sji_edge.cli.options import (
    SOURCE,
    THREADS_HELP,
    IgnoreExisting,
    MaxFrames,
    StreamBitDepth,
    StrictStream,
)
from sji_edge.workflows.inspect.request import RESERVE_MB

CHOICE = "What is kept"
POOL = "Pool"


def collect(
    stream: Annotated[
        str,
        typer.Option(
            help="Frames to cut joints from, as for infer: a folder, a video, camera0, rtsp://…, or a name from "
            "sji-edge.toml.",
            rich_help_panel=SOURCE,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(help="Folder of the pool; it is added to if it exists.", rich_help_panel=POOL),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe folder with board.json and joints.csv.", rich_help_panel=SOURCE),
    ] = None,
    max_frames: MaxFrames = None,
    ignore_existing: IgnoreExisting = False,
    bit_depth: StreamBitDepth = None,
    strict: StrictStream = False,
    serial_from: Annotated[
        str,
        typer.Option(
            help="Where serial numbers come from instead of the code in board.json, as for infer: name:PATTERN or "
            "scanner:/dev/ttyACM0. Without any, each image file is a unit, and so are all frames that a camera takes "
            "within a minute.",
            show_default=False,
            rich_help_panel=SOURCE,
        ),
    ] = "",
    engine: Annotated[
        Path | None,
        typer.Option(
            help="Engine folder; its score, verdict and novelty are kept with each joint. Default: no engine.",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP, rich_help_panel=CHOICE)] = 0,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Joints to keep: all, nth:N (those of every n-th frame), random:SHARE; with --engine also called "
            "(REVIEW and FAIL), uncertain:LOGITS (nearer than this to a threshold; default 1), novel:NOVELTY (at least "
            "this; default 1). Repeat it to keep what any of the rules selects. Default: all; with --engine called, "
            "uncertain and random:2%.",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    keep_duplicates: Annotated[
        bool,
        typer.Option(
            "--keep-duplicates",
            help="Also keep joints that look like one of the same place that the pool already has.",
            rich_help_panel=CHOICE,
        ),
    ] = False,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=4.0,
            help="How much of its width and height to keep around a joint's box on each side.",
            rich_help_panel=POOL,
        ),
    ] = 0.5,
    quota_mb: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Size limit in MB of all pictures of the pool; the run ends when it is reached.",
            rich_help_panel=POOL,
        ),
    ] = None,
    reserve_mb: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Free space in MB to leave on the disk; the run ends with exit 7 when it reaches this limit. 0 "
            "switches the check off.",
            rich_help_panel=POOL,
        ),
    ] = RESERVE_MB,
) -> Any:
    """Cut the joints out of a stream's frames and keep them, with their origin, in a pool to be labelled.

    No engine is needed. Frames pass the same checks as in infer; a frame that fails them is named and left out. The
    same frame twice adds nothing, so an interrupted run is continued by running it again.

    Example: `sji-edge collect --stream frames/ --recipe boards/amplifier --output pools/amplifier`
    """
    from sji_edge.cli.interrupt import Interrupt, RunInterruptedError
    from sji_edge.cli.render.collect import collected_line, frame_line, print_collected
    from sji_edge.cli.run_output import RunOutput
    from sji_edge.workflows.collect.collect import collect as collect_joints

    with Interrupt() as interrupt, RunOutput() as screen:
        result = collect_joints(
            stream, recipe, output,
            engine=engine, keep=keep or (), margin=margin, quota_mb=quota_mb, keep_duplicates=keep_duplicates,
            serial_from=serial_from, max_frames=max_frames, ignore_existing=ignore_existing, bit_depth=bit_depth,
            strict=strict, threads=threads, reserve_mb=reserve_mb,
            on_frame=lambda record, counts: screen.line(frame_line(record, counts)),
            on_begin=interrupt.defer, stop=interrupt.asked,
        )  # fmt: skip
        screen.out.drain()
        print_collected(screen.console, result)
    if result.stopped:
        raise RunInterruptedError(f"interrupted: {collected_line(result)}; run it again to continue")
    return result
