"""The suite of unknown pictures for an opened model: from the evaluated split, and from frames with a recipe."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import DataError
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.core.protocols import BoardRecord, Frame
from sji_edge.core.text import readable
from sji_edge.core.verdict import Thresholds
from sji_edge.evaluation.split import LabelledSplit
from sji_edge.evaluation.truth import GOOD_STATE, read_truth
from sji_edge.evaluation.unknown.boards import Judge, Judges
from sji_edge.evaluation.unknown.counts import DEFECTS
from sji_edge.evaluation.unknown.frames import Shot
from sji_edge.evaluation.unknown.suite import (
    NO_GUARD,
    NO_LIMIT,
    Unknowns,
    from_crops,
    from_frames,
    together,
)
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.judging.places import Places
from sji_edge.parity.run import predict
from sji_edge.recipe.align.alignment import Aligner, AlignmentFailure
from sji_edge.recipe.board import Recipe
from sji_edge.streams.spec import open_source
from sji_edge.workflows.compare.subjects import OpenSide
from sji_edge.workflows.evaluate.settings import EvaluationSettings
from sji_edge.workflows.inspect.places import places_of

TRUTH = "truth.csv"
MAX_FRAMES = 20

Step = Callable[[str], None]


def judge_unknowns(
    side: OpenSide, settings: EvaluationSettings, split: LabelledSplit, thresholds: Thresholds, step: Step
) -> Unknowns:
    """Judge the suite.

    Args:
        side: the model.
        settings: name the frames and the recipe, if any, and the seed.
        split: the evaluated joints.
        thresholds: the PASS and FAIL limits, and the guard's.
        step: told what is judged.

    Raises:
        RecipeError: the recipe cannot be used.
        SourceError: the frames cannot be read.
        DataError: no frame can be aligned.
    """
    unguarded = "" if thresholds.novelty is not None else NO_LIMIT
    if not side.engine.spec.guarded:
        unguarded = NO_GUARD
    guarded = not unguarded
    limits = thresholds if guarded else thresholds.without_guard
    parts = [
        from_crops(
            split,
            side.card,
            lambda crops: predict(side.engine, crops),
            limits,
            guarded=guarded,
            seed=settings.seed,
            step=step,
        )
    ]
    if settings.frames is not None and settings.recipe is not None:
        step("unknown: aligning frames")
        recipe = Recipe.load(settings.recipe, settings.bit_depth)
        shots, skipped = _shots(settings.frames, recipe, side.card.good_class, settings.bit_depth)
        plain = _board_judge(side, recipe, limits.without_guard)
        places = None
        if recipe.enrolled is not None and side.engine.spec.features:
            step("unknown: learning the enrolled boards")
            places = places_of(plain, recipe, SystemClock())
        judges = Judges(
            _judge(_board_judge(side, recipe, limits, places)), _judge(plain), side.card.preprocess
        )
        compared = guarded or places is not None
        part = from_frames(shots, judges, guarded=compared, seed=settings.seed, step=step)
        part.left_out = skipped | part.left_out
        parts.append(part)
    return together(parts, unguarded=unguarded, seed=settings.seed)


def _board_judge(
    side: OpenSide, recipe: Recipe, limits: Thresholds, places: Places | None = None
) -> BoardJudge:
    """Return the judge that an inspection would use."""
    card = side.card
    return BoardJudge(
        side.engine,
        Model(card.classes, card.good_index, card.preprocess, side.sha256),
        RecipeLayout(recipe, card.preprocess, limits, places),
        SystemClock(),
        "unknown",
        live=False,
    )


def _judge(judge: BoardJudge) -> Judge:
    """Return a function that judges single frames."""
    clock = SystemClock()

    def judged(pixels: Image, name: str) -> tuple[BoardRecord, Matrix | None]:
        found = judge.judge(Frame(0, name, clock.monotonic_ns(), pixels))
        return found.record, None if found.placement is None else found.placement.maps

    return judged


def _shots(
    folder: Path, recipe: Recipe, good_class: str, bit_depth: int | None
) -> tuple[list[Shot], dict[str, str]]:
    """Read and align the frames; also return why some things are left out, by what they are."""
    aligner = Aligner(recipe.board, recipe.golden)
    truth = read_truth(folder / TRUTH) if (folder / TRUTH).is_file() else None
    good_states = {GOOD_STATE, good_class}
    shots: list[Shot] = []
    skipped: dict[str, str] = {}
    for frame in islice(_frames(folder, recipe, bit_depth), MAX_FRAMES):
        if frame.pixels is None:
            skipped[frame.name] = frame.error
            continue
        if (frame.pixels.shape[1], frame.pixels.shape[0]) != recipe.board.frame:
            skipped[frame.name] = f"{frame.pixels.shape[1]}x{frame.pixels.shape[0]} px, not the recipe's size"
            continue
        found = aligner.align(frame.pixels)
        if isinstance(found, AlignmentFailure):
            skipped[frame.name] = found.reason
            continue
        states = [GOOD_STATE if truth is None else truth.get((frame.name, name), "") for name in recipe.names]
        good = np.array([state in good_states for state in states])
        bad = np.array([state not in good_states and state != "" for state in states])
        packages = [joint.package for joint in recipe.joints]
        shots.append(Shot(frame.name, frame.pixels, found.matrix, recipe.rois, packages, good, bad))
    if not any(shot.good.any() for shot in shots):
        said = "; ".join(f"{readable(name)}: {why}" for name, why in list(skipped.items())[:3])
        raise DataError(
            f"no frame in {readable(str(folder))} shows a good joint of the recipe"
            + (f" ({said})" if said else ""),
            hint="name a folder with frames of the recipe's board",
        )
    if truth is None:
        skipped[f"{DEFECTS} of frames"] = f"the frames have no {TRUTH}; all their joints are taken to be good"
    return shots, {readable(name): why for name, why in skipped.items()}


def _frames(folder: Path, recipe: Recipe, bit_depth: int | None) -> Iterator[Frame]:
    source = open_source(str(folder), SystemClock(), skip=[recipe.golden_path], bit_depth=bit_depth)
    with closing(source):
        yield from source
