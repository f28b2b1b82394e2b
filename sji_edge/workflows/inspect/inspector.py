"""What judges a stream: source, engine, recipe and judge."""

import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from sji_edge.cli.render.common import console
from sji_edge.cli.render.inference import engine_line
from sji_edge.core.clock import Clock
from sji_edge.core.protocols import FrameSource, OwnRecipe
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout, Layout, RecipeLayout
from sji_edge.inspection.settings import RunSettings
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import Bundle, environment_changes, open_engine
from sji_edge.streams.spec import is_stored, open_source
from sji_edge.workflows.engines.golden_check import replay_golden
from sji_edge.workflows.engines.open import choose_bundle

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
class Station:
    """A judge that is warm, and what it was made of; ``recipe`` is None where each image is one joint."""

    source: FrameSource
    bundle: Bundle
    recipe: Recipe | None
    layout: Layout
    judge: BoardJudge


def open_station(stack: ExitStack, request: Request, clock: Clock, run: str) -> Station:
    """Open what a request names, and say which engine it is; nothing is written.

    Args:
        stack: closes it.
        request: what is wanted.
        clock: for captures, latencies and records.
        run: begins every board's name.

    Raises:
        SjiError: a stream, engine or recipe that cannot be used, or golden crops that the engine answers wrongly.
    """
    recipe = Recipe.load(request.recipe) if request.recipe else None
    source = stack.enter_context(closing(_open_stream(request, recipe, clock)))
    if recipe is None and isinstance(source, OwnRecipe):
        recipe = _own_recipe(source)
    bundle, why = _open_bundle(request)
    console().print(engine_line(bundle, why))
    for change in environment_changes(bundle):
        console().print(f"  not as where it was proven: {change}", markup=False)
    engine = stack.enter_context(closing(open_engine(bundle, request.threads)))
    layout = layout_of(bundle, recipe)
    judge = BoardJudge(
        engine,
        model_of(bundle),
        layout,
        clock,
        run,
        deadlines=request.settings.deadlines(is_stored(source)),
        # Shadow parity judges the very crops again, so they are then cut where it can see them.
        on_device=request.settings.shadow is None,
    )
    judge.warm_up(
        [recipe.golden] if recipe is not None and recipe.golden is not None else [],
        alone=request.settings.low_latency,
    )
    if request.replay_golden:
        console().print(replay_golden(bundle, engine, batch=min(judge.joints, judge.max_batch)))
    return Station(source, bundle, recipe, layout, judge)


def model_of(bundle: Bundle) -> Model:
    """What the judge must know of a bundle's model."""
    return Model(bundle.card.classes, bundle.card.good_index, bundle.preprocess, bundle.engine_sha256)


def layout_of(bundle: Bundle, recipe: Recipe | None, *, reference: bool = False) -> Layout:
    """The joints with the engine's thresholds, or with the reference graph's."""
    thresholds = bundle.manifest.reference_thresholds if reference else bundle.thresholds
    if recipe is None:
        return ImageLayout(bundle.preprocess, thresholds)
    return RecipeLayout(recipe, bundle.preprocess, thresholds)


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
        from sji_edge.workflows.engines.rebuild import rebuilt_here

        chosen = rebuilt_here(request.engine, ENGINES, request.require_signature)
    else:
        chosen = choose_bundle(request.engine, engines=ENGINES, require_signature=request.require_signature)
    return chosen.bundle, chosen.why
