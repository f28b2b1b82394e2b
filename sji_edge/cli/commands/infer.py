"""``sji-edge infer``."""

from pathlib import Path
from typing import Annotated, Any

import typer


def infer(
    stream: Annotated[
        str,
        typer.Option(
            help="Folder, 'frames/*.png', 'frames?watch=1', video, camera0, rtsp://…, http://…, genicam://…, "
            "aravis://…, synthetic://, or a name of sji-edge.toml."
        ),
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
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Where the engine cannot run here, make it anew from its graph, prove it and keep it, once.",
        ),
    ] = False,
    replay_golden: Annotated[
        bool,
        typer.Option(
            "--replay-golden", help="Prove the engine on its golden crops first; exit 3 when the gate fails."
        ),
    ] = False,
    ignore_existing: Annotated[
        bool,
        typer.Option("--ignore-existing", help="Of a watched folder, judge only what arrives from now on."),
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder of the records; they are added to.")] = Path(
        "inspections"
    ),
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 lets it choose.")] = 0,
    policy: Annotated[
        str | None,
        typer.Option(
            help="every: each frame is judged, the source waits. latest: a newer frame displaces a waiting "
            "one, which is counted. Default: latest for a free-running camera, else every."
        ),
    ] = None,
    queue: Annotated[
        int | None, typer.Option(min=1, help="Frames that may wait; default: 4, or 1 with latest.")
    ] = None,
    max_age_ms: Annotated[
        float | None,
        typer.Option(
            help="A frame older than this when work on it begins is ERROR; of files, see --takt-ms."
        ),
    ] = None,
    takt_ms: Annotated[
        float | None,
        typer.Option(
            help="A verdict later than this after the capture is ERROR, waits included. Image and video "
            "files have no moment of capture: theirs is ERROR when the work alone takes longer (with "
            "--policy latest, from reading on, as if a camera gave them)."
        ),
    ] = None,
    stop_on: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop (exit 3) when one joint fails on so many boards in a row; frames that wait are counted, "
            "not judged. 0: never.",
        ),
    ] = 0,
    low_latency: Annotated[
        bool, typer.Option("--low-latency", help="One frame at a time, without hand-over between threads.")
    ] = False,
    shadow: Annotated[
        str | None,
        typer.Option(
            help="Judge this share of the crops by the reference graph too, beside the loop: 1/500."
        ),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on 127.0.0.1.")
    ] = None,
    save_images: Annotated[
        Path | None,
        typer.Option(help="Paint each judged frame into this folder; a picture of that name is replaced."),
    ] = None,
    save_crops: Annotated[
        Path | None,
        typer.Option(help="Keep the crops of REVIEW, FAIL and ERROR joints here, to be labelled anew."),
    ] = None,
    quota_mb: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Of each folder of pictures (--save-images, --save-crops); the oldest make room, records never do.",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV table of the run, too.")] = False,
    rotate_mb: Annotated[
        float, typer.Option(min=0.0, help="Begin a new JSONL file from this size on; 0: never.")
    ] = 0.0,
    reserve_mb: Annotated[
        float,
        typer.Option(
            min=0.0, help="End the run (exit 7) when less is free on a disk it writes to, pictures included."
        ),
    ] = 100.0,
) -> Any:
    """Judge a stream: a verdict for each joint and each board, recorded in SQLite and JSONL.

    Ctrl-C finishes the frames in flight and ends with exit code 130; a second one stops at once. A run in which
    no joint got a verdict ends with exit code 3.

    Example: `sji-edge infer --stream frames/ --recipe boards/amplifier`
    """
    from sji_edge.cli.render.common import settings_or_usage_error
    from sji_edge.core.clock import SystemClock
    from sji_edge.core.errors import EXIT_INTERRUPTED
    from sji_edge.inspection.settings import RunSettings
    from sji_edge.workflows.inspect.inspector import Request
    from sji_edge.workflows.inspect.run import run_inference

    settings = settings_or_usage_error(
        RunSettings,
        policy=policy,
        queue=queue,
        max_age_ms=max_age_ms,
        takt_ms=takt_ms,
        stop_on=stop_on,
        low_latency=low_latency,
        max_frames=max_frames,
        shadow=shadow,
    )
    request = Request(
        stream=stream,
        recipe=recipe,
        engine=engine,
        require_signature=require_signature,
        rebuild=rebuild,
        replay_golden=replay_golden,
        ignore_existing=ignore_existing,
        output=output,
        threads=threads,
        metrics_port=metrics_port,
        save_images=save_images,
        save_crops=save_crops,
        quota_mb=quota_mb,
        csv=csv,
        rotate_mb=rotate_mb,
        reserve_mb=reserve_mb,
        settings=settings,
    )
    summary, interrupted = run_inference(request, SystemClock())
    if interrupted:
        typer.echo("interrupted: every frame so far is on record", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    return summary
