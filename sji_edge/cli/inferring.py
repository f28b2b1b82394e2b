"""How ``infer`` puts the floors below together: source, engine, judge, sinks, and what watches them."""

import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from sji_edge.cli.interrupt import Interrupt
from sji_edge.cli.replay import replay_golden
from sji_edge.cli.show import console
from sji_edge.cli.show_infer import engine_line, print_summary
from sji_edge.cli.show_live import Watch
from sji_edge.core.clock import Clock
from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import Frame, FrameSource, OwnRecipe, Sink
from sji_edge.inspection.exposition import prometheus_text
from sji_edge.inspection.joint_crops import JointCrops
from sji_edge.inspection.judge import BoardJudge
from sji_edge.inspection.layout import ImageLayout, Layout, RecipeLayout
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.metrics_server import MetricsServer
from sji_edge.inspection.overlay import save_picture
from sji_edge.inspection.pictures import PictureFolder
from sji_edge.inspection.recorder import OnBoard
from sji_edge.inspection.settings import RunSettings
from sji_edge.inspection.shadow import Shadow
from sji_edge.inspection.space import FreeSpace
from sji_edge.inspection.tally import RunSummary
from sji_edge.inspection.work import Judgement, Model
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle import Bundle, environment_changes, open_bundle, open_engine, open_reference
from sji_edge.runtime.choice import Choice, choose_engine
from sji_edge.sinks import SINKS
from sji_edge.sinks.sqlite import SqliteSink
from sji_edge.streams.spec import is_stored, open_source, runs_free

ENGINES = Path("engines")


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see the command's options."""

    stream: str
    settings: RunSettings
    recipe: Path | None = None
    engine: Path | None = None
    require_signature: Path | None = None
    rebuild: bool = False
    replay_golden: bool = False
    ignore_existing: bool = False
    output: Path = Path("inspections")
    threads: int = 0
    metrics_port: int | None = None
    save_images: Path | None = None
    save_crops: Path | None = None
    quota_mb: float | None = None
    csv: bool = False
    rotate_mb: float = 0.0
    reserve_mb: float = 0.0


@dataclass(frozen=True)
class _Places:
    """Where a run writes; its name sorts by its start."""

    run: str
    output: Path

    @property
    def database(self) -> Path:
        return self.output / "inspections.db"

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
    places = _Places(_run_name(clock.utc()), request.output)
    recipe = Recipe.load(request.recipe) if request.recipe else None
    with ExitStack() as stack:
        # The stream is opened first and the records last: what is wrong leaves nothing behind.
        source = stack.enter_context(closing(_open_stream(request, recipe, clock)))
        if recipe is None and isinstance(source, OwnRecipe):
            recipe = _own_recipe(source)
        bundle, why = _open_bundle(request)
        console().print(engine_line(bundle, why))
        for change in environment_changes(bundle):
            console().print(f"  not as where it was proven: {change}", markup=False)
        engine = stack.enter_context(closing(open_engine(bundle, request.threads)))
        layout = _layout(bundle, recipe)
        deadlines = request.settings.deadlines(is_stored(source))
        # Shadow parity judges the very crops again, so they are then cut where it can see them.
        judge = BoardJudge(
            engine,
            _model(bundle),
            layout,
            clock,
            places.run,
            deadlines=deadlines,
            on_device=request.settings.shadow is None,
        )
        judge.warm_up([recipe.golden] if recipe is not None and recipe.golden is not None else [])
        if request.replay_golden:
            proof = replay_golden(bundle, engine, batch=min(judge.joints, judge.max_batch))
            console().print(proof)
        _make_folder(request.output)
        pictures = _pictures(request, bundle)
        written = [request.output, request.save_images, request.save_crops]
        space = FreeSpace([folder for folder in written if folder], int(request.reserve_mb * 1e6))
        if (shortage := space.shortage()) is not None:
            raise shortage
        sinks = _open_sinks(stack, request, places, recipe)
        shadow = _shadow(request, bundle, recipe, layout, places)
        if shadow is not None:
            stack.callback(shadow.close)
        watch = Watch(bundle, boards=recipe is not None)
        interrupt = stack.enter_context(Interrupt())
        inspection = Inspection(
            source,
            judge,
            sinks,
            clock,
            request.settings.loop(runs_free(source)),
            stop=interrupt.asked,
            on_board=_on_board(pictures, watch),
            space=space,
            on_work=None if shadow is None else shadow.take,
        )
        _serve_metrics(stack, request, bundle, inspection, shadow)
        try:
            with watch.over(lambda: (inspection.summary(), shadow.report() if shadow else None)):
                inspection.run()
        finally:
            summary = inspection.summary()
            print_summary(
                summary, bundle, (places.database, places.lines), shadow.close() if shadow else None
            )
    return summary, interrupt.asked()


def _run_name(utc: str) -> str:
    """A run's name from its start: ``20250131T080910.123456Z``."""
    return utc.replace("+00:00", "Z").replace("-", "").replace(":", "")


def _open_stream(request: Request, recipe: Recipe | None, clock: Clock) -> FrameSource:
    return open_source(
        request.stream,
        clock,
        skip=[recipe.golden_path] if recipe else [],
        ignore_existing=request.ignore_existing,
    )


def _own_recipe(source: OwnRecipe) -> Recipe:
    """Read the recipe of the board that a source makes itself."""
    with tempfile.TemporaryDirectory() as place:
        source.write_recipe(Path(place) / "recipe")
        return Recipe.load(Path(place) / "recipe")


def _open_bundle(request: Request) -> tuple[Bundle, str]:
    """Open the engine, and say why it is this one."""
    if request.rebuild:
        from sji_edge.cli.rebuilding import rebuilt_here

        return rebuilt_here(request.engine, ENGINES, request.require_signature)
    choice = Choice(request.engine, "as named") if request.engine else choose_engine(ENGINES)
    return open_bundle(choice.folder, require_signature=request.require_signature), choice.why


def _open_sinks(stack: ExitStack, request: Request, places: _Places, recipe: Recipe | None) -> list[Sink]:
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


def _model(bundle: Bundle) -> Model:
    return Model(bundle.card.classes, bundle.card.good_index, bundle.preprocess, bundle.engine_sha256)


def _layout(bundle: Bundle, recipe: Recipe | None, *, reference: bool = False) -> Layout:
    """The joints with the engine's thresholds, or with the reference graph's."""
    thresholds = bundle.manifest.reference_thresholds if reference else bundle.thresholds
    if recipe is None:
        return ImageLayout(bundle.preprocess, thresholds)
    return RecipeLayout(recipe, bundle.preprocess, thresholds)


def _shadow(
    request: Request, bundle: Bundle, recipe: Recipe | None, layout: Layout, places: _Places
) -> Shadow | None:
    share = request.settings.shadow
    if share is None:
        return None
    limits = _layout(bundle, recipe, reference=True).limits
    return Shadow(open_reference(bundle, threads=1), _model(bundle), layout, limits, share, places.shadow)


def _pictures(request: Request, bundle: Bundle) -> list[OnBoard]:
    """Return what keeps pictures of a board: the painted frame, the crops that a person should look at."""
    quota = None if request.quota_mb is None else int(request.quota_mb * 1e6)
    keepers: list[OnBoard] = []
    if request.save_images is not None:
        store = PictureFolder(request.save_images, quota)
        keepers.append(lambda frame, judgement: save_picture(store, frame, judgement, bundle.preprocess))
    if request.save_crops is not None:
        keepers.append(JointCrops(PictureFolder(request.save_crops, quota), bundle.preprocess).keep)
    return keepers


def _on_board(keepers: list[OnBoard], watch: Watch) -> OnBoard:
    """Return what happens after each board: pictures in their folders, a line on the terminal."""

    def on_board(frame: Frame, judgement: Judgement) -> None:
        for keep in keepers:
            keep(frame, judgement)
        watch.board(judgement.record)

    return on_board


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
