"""How ``infer`` puts the floors below together: a station, sinks, and what watches the run."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import typer

from sji_edge.cli.interrupt import Interrupt
from sji_edge.cli.render.common import console
from sji_edge.cli.render.inference import print_summary
from sji_edge.cli.render.live import Watch
from sji_edge.core import run_files
from sji_edge.core.clock import Clock
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.protocols import Sink
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.observe.metrics_server import MetricsServer
from sji_edge.inspection.observe.shadow import Shadow
from sji_edge.inspection.observe.status_formats import prometheus_text
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.inspection.outputs.joint_crops import JointCrops
from sji_edge.inspection.outputs.painted_board import save_picture
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.inspection.outputs.recorder import OnBoard
from sji_edge.recipe.board import Recipe
from sji_edge.records import SINKS
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.runtime.bundle.bundle import Bundle, open_reference
from sji_edge.streams.spec import runs_free
from sji_edge.workflows.inspect.inspector import Request, Station, layout_of, model_of, open_station


@dataclass(frozen=True)
class _RunPaths:
    """Where a run writes; its name sorts by its start."""

    run: str
    output: Path

    @property
    def database(self) -> Path:
        return self.output / run_files.DATABASE

    @property
    def lines(self) -> Path:
        return self.output / f"{self.run}.jsonl"

    @property
    def table(self) -> Path:
        return self.output / f"{self.run}.csv"

    @property
    def shadow(self) -> Path:
        return self.output / f"{self.run}.shadow.jsonl"


def run_inference(request: Request, clock: Clock) -> tuple[RunSummary, bool]:
    """Judge a stream as requested and print what came of it.

    Returns:
        The figures, and whether a signal ended the run.

    Raises:
        SjiError: of the kind that the command's exit codes stand for; what is on record stays there.
    """
    _check_quota(request)
    places = _RunPaths(_run_name(clock.utc()), request.output)
    with ExitStack() as stack:
        # The stream is opened first and the records last: what is wrong leaves nothing behind.
        station = open_station(stack, request, clock, places.run)
        _make_folder(request.output)
        pictures = _pictures(request, station.bundle)
        space = _space(request)
        sinks = _open_sinks(stack, request, places, station.recipe)
        shadow = _shadow(stack, request, station, places)
        watch = Watch(station.bundle, boards=station.recipe is not None)
        interrupt = stack.enter_context(Interrupt())
        inspection = Inspection(
            station.source,
            station.judge,
            sinks,
            clock,
            request.settings.loop(runs_free(station.source)),
            stop=interrupt.asked,
            # A board's line first: its picture may find no room.
            on_board=[lambda _, judgement: watch.board(judgement.record), *pictures],
            space=space,
            on_work=None if shadow is None else shadow.take,
            database=places.database,
        )
        _serve_metrics(stack, request, station.bundle, inspection, shadow)
        try:
            with watch.over(lambda: (inspection.summary(), shadow.report() if shadow else None)):
                inspection.run()
        finally:
            summary, replayed = inspection.summary(), shadow.close() if shadow else None
            print_summary(summary, station.bundle, (places.database, places.lines), replayed)
    return summary, interrupt.asked()


def _check_quota(request: Request) -> None:
    if request.quota_mb is not None and request.save_images is None and request.save_crops is None:
        raise UsageError(
            f"--quota-mb {request.quota_mb:g} bounds folders of pictures, and this run keeps none",
            hint="add --save-images DIR or --save-crops DIR, or leave --quota-mb out",
        )


def _run_name(utc: str) -> str:
    """A run's name from its start: ``20250131T080910.123456Z``."""
    return utc.replace("+00:00", "Z").replace("-", "").replace(":", "")


def _open_sinks(stack: ExitStack, request: Request, places: _RunPaths, recipe: Recipe | None) -> list[Sink]:
    """Open the sinks, the durable one first: what the JSON lines show is in the database already."""
    database: SqliteSink = stack.enter_context(closing(SINKS.get("sqlite")(places.database)))
    if recipe is not None:
        database.keep_packages(recipe.sha256, {joint.refdes: joint.package for joint in recipe.joints})
    opened: list[Sink] = [
        database,
        stack.enter_context(closing(SINKS.get("jsonl")(places.lines, int(request.rotate_mb * 1e6)))),
    ]
    if request.csv:
        opened.append(stack.enter_context(closing(SINKS.get("csv")(places.table))))
    return opened


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}",
            hint="choose another --output",
        ) from error


def _space(request: Request) -> FreeSpace:
    """Watch the disks that are written to; raises ``OutputError`` when one is nearly full already."""
    folders = [request.output, request.save_images, request.save_crops]
    space = FreeSpace([folder for folder in folders if folder], int(request.reserve_mb * 1e6))
    if (shortage := space.shortage()) is not None:
        raise shortage
    return space


def _shadow(stack: ExitStack, request: Request, station: Station, places: _RunPaths) -> Shadow | None:
    share = request.settings.shadow
    if share is None:
        return None
    limits = layout_of(station.bundle, station.recipe, reference=True).limits
    reference = open_reference(station.bundle, threads=1)
    shadow = Shadow(reference, model_of(station.bundle), station.layout, limits, share, places.shadow)
    stack.callback(shadow.close)
    return shadow


def _pictures(request: Request, bundle: Bundle) -> list[OnBoard]:
    """Return what keeps pictures of a board: the painted frame, the crops that a person should look at."""
    quota = None if request.quota_mb is None else int(request.quota_mb * 1e6)
    keepers: list[OnBoard] = []
    if request.save_images is not None:
        store = PictureFolder(request.save_images, quota, warn=_warn)
        keepers.append(lambda frame, judgement: save_picture(store, frame, judgement, bundle.preprocess))
    if request.save_crops is not None:
        crops = PictureFolder(request.save_crops, quota, warn=_warn)
        keepers.append(JointCrops(crops, bundle.preprocess).keep)
    return keepers


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def _serve_metrics(
    stack: ExitStack, request: Request, bundle: Bundle, inspection: Inspection, shadow: Shadow | None
) -> None:
    if request.metrics_port is None:
        return
    manifest = bundle.manifest
    info = {
        "engine": manifest.name,
        "backend": manifest.backend,
        "precision": manifest.precision,
        "sha256": bundle.engine_sha256,
    }

    def text() -> str:
        return prometheus_text(inspection.summary(), info, shadow.report() if shadow else None)

    server = stack.enter_context(closing(MetricsServer(request.metrics_port, text)))
    console().print(f"metrics: http://127.0.0.1:{server.port}/metrics")
