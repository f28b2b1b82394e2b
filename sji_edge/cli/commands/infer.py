"""``sji-edge infer``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sji_edge.cli.options import (
    ENGINES,
    ENGINES_HELP,
    INSPECTIONS,
    SIGNATURE_HELP,
    SOURCE,
    THREADS_HELP,
    IgnoreExisting,
    MaxFrames,
    StreamBitDepth,
    StrictStream,
)
from sji_edge.workflows.inspect.request import RESERVE_MB

ENGINE = "Engine"
TIMING = "Timing"
RECORDS = "Records"
PICTURES = "Pictures"
MONITORING = "Monitoring"


def infer(
    stream: Annotated[
        str,
        typer.Option(
            help="Frames to judge: a folder, 'frames/*.png', 'frames?watch=1', a video, camera0, rtsp://…, http://…, "
            "genicam://…, aravis://…, synthetic://, or a name from sji-edge.toml.",
            rich_help_panel=SOURCE,
        ),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Recipe folder with board.json and joints.csv. Without a recipe, each image shows one joint.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    ignore_existing: IgnoreExisting = False,
    bit_depth: StreamBitDepth = None,
    serial_from: Annotated[
        str,
        typer.Option(
            help="Where serial numbers come from instead of the code in board.json: name:PATTERN takes what a regular "
            "expression finds in the frame's name, scanner:/dev/ttyACM0 what was scanned before the frame "
            "(scanner:- for a scanner that types).",
            show_default=False,
            rich_help_panel=SOURCE,
        ),
    ] = "",
    strict: StrictStream = False,
    max_frames: MaxFrames = None,
    engine: Annotated[
        Path | None,
        typer.Option(help="Engine folder; default: the newest released engine.", rich_help_panel=ENGINE),
    ] = None,
    engines: Annotated[Path, typer.Option(help=ENGINES_HELP, rich_help_panel=ENGINE)] = ENGINES,
    require_signature: Annotated[
        Path | None, typer.Option(help=SIGNATURE_HELP, rich_help_panel=ENGINE)
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="If the engine cannot run here, rebuild it from its graph, validate it, and keep it for later runs.",
            rich_help_panel=ENGINE,
        ),
    ] = False,
    replay_golden: Annotated[
        bool,
        typer.Option(
            "--replay-golden",
            help="Check the engine against its golden crops before the first frame; exit 3 if it fails its gate.",
            rich_help_panel=ENGINE,
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP, rich_help_panel=ENGINE)] = 0,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What happens to a frame that arrives while others are queued. every: each frame is judged, and the "
            "source waits. latest: queued frames are dropped and counted. Default: latest for a free-running camera, "
            "every for all other sources.",
            rich_help_panel=TIMING,
        ),
    ] = None,
    queue: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of frames that may be queued; default: 4, or 1 with --policy latest.",
            rich_help_panel=TIMING,
        ),
    ] = None,
    max_age_ms: Annotated[
        float | None,
        typer.Option(
            help="Age limit of a frame in ms: a frame that is older when its processing starts becomes ERROR. "
            "For files, see --takt-ms.",
            rich_help_panel=TIMING,
        ),
    ] = None,
    takt_ms: Annotated[
        float | None,
        typer.Option(
            help="Time limit in ms from capture to verdict; a later verdict becomes ERROR. Image and video files have "
            "no capture time: for them, only processing counts. With --policy latest, a file counts as captured when "
            "it is read.",
            rich_help_panel=TIMING,
        ),
    ] = None,
    engine_timeout_s: Annotated[
        float | None,
        typer.Option(
            help="Time limit in s of one engine call. A longer call ends the run with exit 5, and the boards in flight "
            "are ERROR. Default: 20 times --takt-ms, at least 2 and at most 60; 60 without --takt-ms.",
            rich_help_panel=TIMING,
        ),
    ] = None,
    low_latency: Annotated[
        bool,
        typer.Option(
            "--low-latency",
            help="Process one frame at a time in one thread: lower latency, less throughput.",
            rich_help_panel=TIMING,
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option(help="Folder for the records. Each run adds to it.", rich_help_panel=RECORDS)
    ] = INSPECTIONS,
    csv: Annotated[
        bool, typer.Option("--csv", help="Also write a CSV table of the run.", rich_help_panel=RECORDS)
    ] = False,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="Also send every record to this sink, a name from an installed package; repeat it for more.",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    rotate_mb: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Size in MB at which a new JSONL file is started; 0 keeps one file.",
            rich_help_panel=RECORDS,
        ),
    ] = 0.0,
    reserve_mb: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Free space in MB to leave on every disk that the run writes to; the run ends with exit 7 when it "
            "reaches this limit. 0 switches the check off.",
            rich_help_panel=RECORDS,
        ),
    ] = RESERVE_MB,
    save_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a picture of each judged frame with its verdicts painted on it.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    save_boards: Annotated[
        Path | None,
        typer.Option(
            help="Folder for boards that did not pass, and every 20th that did, as the camera saw them: sji-edge "
            "review shows the joints from them.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    save_crops: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the crops of REVIEW, FAIL and ERROR joints, to label for training.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    quota_mb: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Size limit in MB of each picture folder. The oldest pictures are deleted first; records never are. A "
            "pool keeps no more joints when it reaches the limit.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option(
            help="Pool for joints that --keep selects, with the margin around them, to label and to train on.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Joints for --pool, as in collect: called (REVIEW and FAIL), uncertain:LOGITS, novel:NOVELTY, "
            "random:SHARE, nth:N, all; repeat it for more. Default: called.",
            show_default=False,
            rich_help_panel=PICTURES,
        ),
    ] = None,
    stop_on: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop with exit 3 when one joint fails on this number of boards in a row; queued frames are counted "
            "but not judged. 0 never stops.",
            rich_help_panel=MONITORING,
        ),
    ] = 0,
    shadow: Annotated[
        str | None,
        typer.Option(
            help="Share of the crops, such as 1/500, that the FP32 reference judges again in the background, to "
            "compare verdicts.",
            rich_help_panel=MONITORING,
        ),
    ] = None,
    shadow_engine: Annotated[
        Path | None,
        typer.Option(
            help="Engine that judges the same boards in the background and decides nothing; joints that only one of "
            "the two calls are kept in --pool.",
            rich_help_panel=MONITORING,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port on 127.0.0.1 for Prometheus metrics; 0 picks a free one.",
            rich_help_panel=MONITORING,
        ),
    ] = None,
) -> Any:
    """Judge a stream: a verdict for each joint and each board, recorded in SQLite and JSONL.

    Ctrl-C finishes the frames in flight and ends with exit 130; a second Ctrl-C stops at once. A run in which no
    joint got a verdict ends with exit 3.

    Example: `sji-edge infer --stream frames/ --recipe boards/amplifier`
    """
    from sji_edge.cli.interrupt import Interrupt, RunInterruptedError
    from sji_edge.cli.render.inference import interrupted_line
    from sji_edge.cli.render.live import RunScreen
    from sji_edge.cli.run_output import RunOutput
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.core.clock import SystemClock
    from sji_edge.inspection.settings import RunSettings
    from sji_edge.workflows.inspect.request import RunRequest
    from sji_edge.workflows.inspect.run import run_inference

    settings = settings_or_usage_error(
        RunSettings,
        policy=policy,
        queue=queue,
        max_age_ms=max_age_ms,
        takt_ms=takt_ms,
        engine_timeout_s=engine_timeout_s,
        stop_on=stop_on,
        low_latency=low_latency,
        max_frames=max_frames,
        shadow=shadow,
        strict=strict,
    )
    request = RunRequest(
        stream=stream,
        settings=settings,
        output=output,
        engine=_rebuilt(engine, engines, require_signature) if rebuild else engine,
        engines=engines,
        recipe=recipe,
        require_signature=require_signature,
        replay_golden=replay_golden,
        ignore_existing=ignore_existing,
        bit_depth=bit_depth,
        serial_from=serial_from,
        threads=threads,
        metrics_port=metrics_port,
        save_images=save_images,
        save_boards=save_boards,
        pool=pool,
        keep=tuple(keep or ("called",)),
        shadow_engine=shadow_engine,
        save_crops=save_crops,
        quota_mb=quota_mb,
        csv=csv,
        sinks=tuple(sink or ()),
        rotate_mb=rotate_mb,
        reserve_mb=reserve_mb,
    )
    with Interrupt() as interrupt, RunOutput() as screen:
        result = run_inference(
            request, SystemClock(), RunScreen(screen, on_begin=interrupt.defer), stop=interrupt.asked
        )
    if result.stopped:
        raise RunInterruptedError(interrupted_line(result.summary))
    return result.summary


def _rebuilt(engine: Path | None, engines: Path, require_signature: Path | None) -> Any:
    """Return an engine that runs on this machine, rebuilt from its graph if necessary."""
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.engines.rebuild import rebuilt_here

    with console().status("rebuilding the engine for this machine") as status:
        return rebuilt_here(engine, engines, require_signature, progress=lambda step: status.update(step))
