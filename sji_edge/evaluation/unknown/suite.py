"""The whole suite: pictures of every kind that the inputs can provide, judged and counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.evaluation.split import LabelledSplit
from sji_edge.evaluation.unknown.boards import (
    CHANGED_SHARE,
    Judges,
    Pictures,
    try_frames,
    why_no_kind,
)
from sji_edge.evaluation.unknown.counts import (
    DEFECTS,
    GOOD,
    Outcome,
    Source,
    UnknownReport,
    UnknownRow,
    outcomes_of_scores,
    row_of,
)
from sji_edge.evaluation.unknown.crops import MAX_JOINTS, pictures_of, why_left_out
from sji_edge.evaluation.unknown.frames import Shot
from sji_edge.evaluation.unknown.kinds import KINDS, TURNED
from sji_edge.evaluation.unknown.sheet import sheet

Predict = Callable[[NDArray[np.uint8]], EngineOutput]
Step = Callable[[str], None]

INTERVALS = (
    "Intervals are exact (Clopper-Pearson, 95 %) and count every picture as independent of the others."
)
NO_GUARD = "This model has no guard, so there is one column: what the score alone passes."
NO_LIMIT = "These limits have none for the guard, so there is one column: what the score alone passes."


@dataclass
class Part:
    """What one source of pictures gave: rows, reasons by what was left out, notes, and a sheet for each row."""

    source: Source
    rows: list[UnknownRow] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sheets: list[bytes] = field(default_factory=list)

    def add(
        self, kind: str, shows: str, outcomes: Sequence[Outcome], pictures: Pictures, *, guarded: bool
    ) -> None:
        """Count one kind; one without a picture is left out."""
        if not outcomes:
            self.left_out.setdefault(kind, "no joint could provide such a picture")
            return
        self.rows.append(row_of(kind, shows, self.source, outcomes, guarded=guarded))
        self.sheets.append(sheet(pictures, good=kind == GOOD) if pictures else b"")


@dataclass(frozen=True)
class Unknowns:
    """The suite's report, and one sheet of pictures (PNG) for each of its rows."""

    report: UnknownReport
    sheets: tuple[bytes, ...]


def together(parts: Sequence[Part], *, unguarded: str, seed: int) -> Unknowns:
    """Put the parts together; a kind that one of them has made is not left out.

    Args:
        parts: from crops and from frames.
        unguarded: why there is one column only, ``NO_GUARD`` or ``NO_LIMIT``; empty for a model with a guard.
        seed: that the pictures were drawn with.
    """
    made = {row.kind for part in parts for row in part.rows} - {DEFECTS}
    left_out = {name: why for part in parts for name, why in part.left_out.items() if name not in made}
    notes = [*(note for part in parts for note in part.notes), INTERVALS]
    report = UnknownReport(
        seed=seed,
        guarded=not unguarded,
        rows=tuple(row for part in parts for row in part.rows),
        left_out=left_out,
        notes=(*([unguarded] if unguarded else []), *notes),
    )
    return Unknowns(report, tuple(one for part in parts for one in part.sheets))


def from_crops(
    split: LabelledSplit,
    card: ModelCard,
    predict: Predict,
    thresholds: Thresholds,
    *,
    guarded: bool,
    seed: int,
    step: Step,
) -> Part:
    """Make every kind from the good joints of a split, and judge the crops alone.

    Args:
        split: the labelled joints.
        card: the model's.
        predict: the model.
        thresholds: the PASS and FAIL limits, and the guard's.
        guarded: whether the model has a guard and a limit for it.
        seed: of the pictures.
        step: told which kind is judged.
    """
    part = Part("crops")
    spec, good = card.preprocess, split.labels == card.good_index

    def judged(kind: str, shows: str, crops: NDArray[np.uint8]) -> None:
        output = predict(crops) if len(crops) else None
        outcomes = []
        if output is not None:
            scores = defect_scores(output.logits, card.good_index)
            outcomes = outcomes_of_scores(scores, thresholds, output.novelty if guarded else None)
        part.add(kind, shows, outcomes, list(zip(crops, outcomes, strict=True)), guarded=guarded)

    step("unknown: good joints and defects")
    judged(GOOD, f"the good joints of {split.name}, unchanged", split.crops[good])
    judged(DEFECTS, f"the defective joints of {split.name}, unchanged", split.crops[~good])
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(good))[:MAX_JOINTS].tolist()
    if len(chosen) < int(good.sum()):
        part.notes.append(
            f"{len(chosen)} of the {int(good.sum())} good joints of {split.name}, drawn at random, were changed."
        )
    joints, packages = [split.images[index] for index in chosen], [split.packages[index] for index in chosen]
    for kind in KINDS if joints else ():
        if why := why_left_out(kind, packages):
            part.left_out[kind.name] = why
            continue
        step(f"unknown: {kind.name}")
        judged(kind.name, kind.shows, pictures_of(kind, joints, packages, spec, seed))
    part.left_out[TURNED] = "needs frames and a recipe"
    return part


def from_frames(shots: Sequence[Shot], judges: Judges, *, guarded: bool, seed: int, step: Step) -> Part:
    """Make every kind at joints of frames, turn the frames, and judge all of them as the inspection loop does.

    Args:
        shots: frames that could be aligned; at least one.
        judges: judge whole frames.
        guarded: whether the model has a guard and a limit for it.
        seed: of joints and pictures.
        step: told which frame is judged.
    """
    part = Part("frames")
    tried = try_frames(shots, judges, seed, lambda what: step(f"unknown: {what}"))
    frames = f"{len(shots)} frame{'s' if len(shots) > 1 else ''}"
    part.left_out |= {kind.name: why for kind in KINDS if (why := why_no_kind(kind, shots))}
    shows = {
        GOOD: f"the good joints of {frames}, unchanged",
        DEFECTS: f"the defective joints of {frames}, unchanged",
        **{kind.name: kind.shows for kind in KINDS if kind.name not in part.left_out},
        TURNED: "all joints of the frames turned by 180°",
    }
    for name, what in shows.items():
        part.add(name, what, tried.outcomes.get(name, []), tried.pictures.get(name, []), guarded=guarded)
    part.notes.append(
        f"Frames are judged as infer judges them: checked, aligned, cut, scored and decided. At most "
        f"{CHANGED_SHARE:.0%} of a board's joints (at least one) are changed at a time."
    )
    part.notes += [
        f"{count} of {frames} turned by 180° {'was' if count == 1 else 'were'} refused as a whole (ERROR {cause})."
        for cause, count in sorted(tried.refused.items())
    ]
    return part
