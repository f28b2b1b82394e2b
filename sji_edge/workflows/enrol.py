"""Enrols good boards in a recipe: what they show at each joint's place is what later boards are compared with."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sji_edge.core import run_files
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import StrPath, new_folder, output_errors, read_bounded
from sji_edge.core.images.read import MAX_FILE_BYTES, decode_image
from sji_edge.core.left_out import LeftOut
from sji_edge.core.verdict import defect_scores
from sji_edge.evaluation.truth import read_truth
from sji_edge.inspection.judging.frame_job import Features, Work
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.places import MIN_BOARDS, Places, learn_places
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.enrolled import write_enrolled
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.streams.files.listing import in_natural_order, is_frame_file, left_out_of_folder
from sji_edge.workflows.inspect.inspector import Inspector
from sji_edge.workflows.inspect.places import answered, features_of

Say = Callable[[str], None]
Truth = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class PackageWorth:
    """What enrolment knows of one package.

    Attributes:
        joints: that count, over all boards.
        deviation: median and 99 % quantile of the held-out deviations; 1 is too far.
        unlike: how many held-out joints are too far.
        novel: how many of the joints have a novelty at or above the guard's limit.
    """

    joints: int
    deviation: tuple[float, float]
    unlike: int
    novel: int


@dataclass(frozen=True)
class Enrolment:
    """The result of an enrolment.

    Attributes:
        recipe: the recipe's folder.
        boards: names of the enrolled frames.
        refused: frames that were not enrolled, with the reason each.
        left_out: joints that do not count, by reason.
        packages: by name.
        files_left_out: files of the folder that are no frames.
    """

    recipe: Path
    boards: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    left_out: Mapping[str, int]
    packages: Mapping[str, PackageWorth]
    files_left_out: tuple[LeftOut, ...]

    @property
    def joints(self) -> int:
        """Joints that count, over all boards."""
        return sum(worth.joints for worth in self.packages.values())

    @property
    def unlike_share(self) -> float:
        """Share of the joints that are too far from their place when their board is held out."""
        return sum(worth.unlike for worth in self.packages.values()) / max(1, self.joints)

    @property
    def novel_share(self) -> float:
        """Share of the joints that the engine's guard finds unlike its training data."""
        return sum(worth.novel for worth in self.packages.values()) / max(1, self.joints)


@dataclass(frozen=True)
class _Board:
    name: str
    content: bytes
    work: Work
    left_out: dict[str, str]


def enrol(
    frames: StrPath,
    recipe: StrPath,
    *,
    engine: StrPath | None = None,
    engines: StrPath = "engines",
    truth: StrPath | None = None,
    replace: bool = False,
    bit_depth: int | None = None,
    progress: Say | None = None,
) -> Enrolment:
    """Enrol a folder of good boards in a recipe: ``RECIPE/enrolled`` keeps the frames and which joints count.

    A joint does not count if it is no good joint: by ``truth`` where it is given, otherwise where the engine's score
    is not below the PASS limit. Nor does one that is hidden or outside the frame. A frame that cannot be read or
    aligned is not enrolled.

    Args:
        frames: folder of frames, at least ``MIN_BOARDS`` good boards.
        recipe: the recipe's folder.
        engine: engine folder with a guard; None: the newest released engine in ``engines``.
        engines: folder of all engines.
        truth: CSV file with the columns frame, refdes and state.
        replace: replace the boards that are enrolled already.
        bit_depth: bits that the samples of 16-bit images use.
        progress: receives each step in words.

    Raises:
        UsageError: no engine, an engine without features, or boards are enrolled already.
        RecipeError: the recipe cannot be read.
        DataError: too few boards can be enrolled, or the truth cannot be read or lacks a joint.
        OutputError: the recipe's folder cannot be written.
    """
    say = progress or (lambda _: None)
    folder, target = Path(frames), Path(recipe) / run_files.ENROLLED
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name a folder of images of good boards")
    if target.exists() and not replace:
        raise UsageError(
            f"{Path(recipe)} has enrolled boards already",
            hint="replace them, or move the folder enrolled away",
        )
    entries = in_natural_order(folder.iterdir())
    loaded = Recipe.load(Path(recipe), bit_depth)
    states = None if truth is None else read_truth(Path(truth))
    boards: list[_Board] = []
    refused: list[tuple[str, str]] = []
    with Inspector(engine, engines=engines, bit_depth=bit_depth) as inspector:
        if not inspector.gives_features:
            raise UsageError(
                f"the engine {inspector.engine.name} has no guard, so joints cannot be compared",
                hint="train with a guard, and build the engine again",
            )
        judge, bundle = inspector.plain_judge(loaded), inspector.bundle
        for path in filter(is_frame_file, entries):
            say(f"looking at {path.name}")
            found = _looked_at(path, judge, loaded, bundle, states, bit_depth)
            if isinstance(found, str):
                refused.append((path.name, found))
            else:
                boards.append(found)
    if len(boards) < MIN_BOARDS:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
        raise DataError(
            f"{len(boards)} boards of {folder} can be enrolled; {MIN_BOARDS} are needed"
            + (f" ({why})" if why else ""),
            hint="add frames of good boards",
        )
    rows = np.stack([_rows(loaded, board) for board in boards])
    packages = [joint.package for joint in loaded.joints]
    try:
        places = learn_places(rows, packages)
    except ValueError as error:
        raise DataError(
            f"too few good joints in {folder}: {error}", hint="add frames of good boards"
        ) from error
    _write(target, boards, bit_depth)
    return Enrolment(
        recipe=Path(recipe),
        boards=tuple(board.name for board in boards),
        refused=tuple(refused),
        left_out=Counter(reason.split(":")[0] for board in boards for reason in board.left_out.values()),
        packages=_worth(packages, rows, places, boards, bundle.thresholds.novelty),
        files_left_out=left_out_of_folder(folder, entries),
    )


def _write(target: Path, boards: Sequence[_Board], bit_depth: int | None) -> None:
    """Write the boards; those that were enrolled before stay until the new ones are complete, and if that fails."""
    before = target.with_name(f".{target.name}.before")
    with output_errors(target):
        if before.exists():
            shutil.rmtree(before)
        if target.exists():
            target.rename(before)
    try:
        with new_folder(target) as partial:
            write_enrolled(
                partial,
                [(board.name, board.content, board.left_out) for board in boards],
                bit_depth=bit_depth,
            )
    except BaseException:
        if before.exists() and not target.exists():
            before.rename(target)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _looked_at(
    path: Path, judge: BoardJudge, recipe: Recipe, bundle: Bundle, states: Truth | None, bit_depth: int | None
) -> _Board | str:
    """Run the engine on a frame; return the board, or why it cannot be enrolled."""
    if path.name == run_files.GOLDEN_IMAGE:
        return "it has the name of a recipe's golden image, which is no board of the line"
    try:
        content = read_bounded(path, MAX_FILE_BYTES, error=DataError)
        pixels = decode_image(content, path.name, bit_depth=bit_depth)
    except DataError as error:
        return error.message
    work = answered(judge, pixels, path.name, SystemClock())
    if work.fault is not None or work.placement is None or work.hidden is None or work.logits is None:
        return str(work.fault or "the engine gave no answer")
    inside = work.placement.inside
    limits = np.array([joint.lower or bundle.thresholds.lower for joint in recipe.joints])
    passed = defect_scores(work.logits, bundle.card.good_index) < limits[inside]
    judged = dict(
        zip(
            (name for name, seen in zip(recipe.names, inside, strict=True) if seen),
            zip(work.hidden.tolist(), passed.tolist(), strict=True),
            strict=True,
        )
    )
    left_out = {}
    for name in recipe.names:
        state = _state(states, path.name, name, bundle.card.good_class)
        if name not in judged:
            left_out[name] = "outside the frame"
            continue
        is_hidden, is_passed = judged[name]
        if is_hidden:
            left_out[name] = "hidden"
        elif state:
            left_out[name] = f"not good by the truth: {state}"
        elif states is None and not is_passed:
            left_out[name] = "not passed by the engine"
    return _Board(path.name, content, work, left_out)


def _state(states: Truth | None, frame: str, joint: str, good: str) -> str:
    """Return a joint's state by the truth; empty where it is good, or without a truth."""
    if states is None:
        return ""
    if (frame, joint) not in states:
        raise DataError(f"the truth has no row for joint {joint} of frame {frame}")
    state = states[frame, joint]
    return "" if state == good else state


def _rows(recipe: Recipe, board: _Board) -> Features:
    return features_of(board.work, [name not in board.left_out for name in recipe.names])


def _worth(
    packages: Sequence[str], rows: Features, places: Places, boards: Sequence[_Board], limit: float | None
) -> dict[str, PackageWorth]:
    """Count by package how many good joints the guard and the comparison with other boards would stop."""
    novelty = np.full(rows.shape[:2], np.nan)
    for number, board in enumerate(boards):
        if board.work.novelty is not None and board.work.placement is not None:
            novelty[number, board.work.placement.inside] = board.work.novelty
    counts = np.isfinite(rows[:, :, 0])
    found = {}
    for package in sorted(set(packages)):
        own = counts & np.array([each == package for each in packages])
        if not own.any():
            continue
        deviations = places.held_out[own]
        found[package] = PackageWorth(
            joints=int(own.sum()),
            deviation=(float(np.median(deviations)), float(np.quantile(deviations, 0.99))),
            unlike=int((deviations >= 1.0).sum()),
            novel=0 if limit is None else int((novelty[own] >= limit).sum()),
        )
    return found
