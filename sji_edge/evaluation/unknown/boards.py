"""Judges frames in which a few joints were changed, as the inspection loop would judge them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.verdict import Verdict
from sji_edge.evaluation.unknown.counts import DEFECTS, GOOD, Outcome, outcome_of_record
from sji_edge.evaluation.unknown.frames import Shot, with_layers
from sji_edge.evaluation.unknown.kinds import KINDS, TURNED, Kind
from sji_edge.evaluation.unknown.scene import Layer

JOINTS_A_KIND = 100
CHANGED_SHARE = 0.05
"""At most this share of a board's joints is changed at a time (one joint at least), so that the board stays itself."""
APART = 1.25
"""Changed joints of one frame keep this many box sizes between their centres."""

NOT_FINITE = "non-finite"
"""The loop's cause for a joint whose score, or whose novelty, is not a finite number."""

Judge = Callable[[Image, str], tuple[BoardRecord, Matrix | None]]
"""Judges a frame of that name; returns its record and the maps of its joints' crops, None for a frame without."""
Pictures = list[tuple[Image, Outcome]]
"""Crops and what was decided of them, for the gallery."""


@dataclass(frozen=True)
class Judged:
    """A frame's joints, in the recipe's order: outcomes, and the crops that were judged, None where none were cut."""

    outcomes: list[Outcome]
    crops: NDArray[np.uint8] | None

    def crop(self, joint: int) -> Image | None:
        """Return one joint's crop."""
        return None if self.crops is None else self.crops[joint]

    @property
    def refusal(self) -> str:
        """Why the whole board is ERROR; empty where at least one joint was judged."""
        causes = {outcome.cause for outcome in self.outcomes}
        whole = all(outcome.verdict is Verdict.ERROR for outcome in self.outcomes)
        return causes.pop() if whole and len(causes) == 1 else ""


@dataclass(frozen=True)
class Judges:
    """Two judges of frames: with everything that the product has, and by the score alone; and the model's crops."""

    full: Judge
    plain: Judge
    spec: PreprocessSpec

    def judge(self, frame: Image, name: str) -> Judged:
        """Judge one frame."""
        record, maps = self.full(frame, name)
        plain: BoardRecord | None = None
        # A single joint without a score is hidden or outside the frame, with or without a guard.
        if all(joint.score is None for joint in record.joints) or any(
            joint.cause == NOT_FINITE for joint in record.joints
        ):
            plain, maps = self.plain(frame, name)
        unguarded = [None] * len(record.joints) if plain is None else plain.joints
        outcomes = [outcome_of_record(*pair) for pair in zip(record.joints, unguarded, strict=True)]
        if maps is None:
            return Judged(outcomes, None)
        crops = np.empty((len(maps), *self.spec.shape), np.uint8)
        crops_of_frame(frame, maps, crops)
        return Judged(outcomes, crops)


@dataclass(frozen=True)
class Task:
    """One joint to change: into what, and the layer that does it."""

    kind: str
    joint: int
    layer: Layer


@dataclass
class Tried:
    """Outcomes by kind, with the pictures of each; and the number of turned frames by the cause of their refusal."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    pictures: dict[str, Pictures] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, joint: int, judged: Judged) -> None:
        """Note one joint of a frame."""
        self.outcomes.setdefault(kind, []).append(judged.outcomes[joint])
        if (crop := judged.crop(joint)) is not None:
            self.pictures.setdefault(kind, []).append((crop, judged.outcomes[joint]))


def try_frames(shots: Sequence[Shot], judges: Judges, seed: int, step: Callable[[str], None]) -> Tried:
    """Judge frames as they are, turned by 180°, and with some joints of each copy changed into every kind.

    Args:
        shots: frames that could be aligned.
        judges: judge whole frames.
        seed: of joints and pictures.
        step: told which frame is judged.
    """
    tried = Tried()
    for number, shot in enumerate(shots, 1):
        step(f"frame {number} of {len(shots)}")
        judged = judges.judge(shot.pixels, shot.name)
        for kind, joints in ((GOOD, np.flatnonzero(shot.good)), (DEFECTS, np.flatnonzero(shot.bad))):
            for joint in joints.tolist():
                tried.add(kind, joint, judged)
        turned = judges.judge(np.ascontiguousarray(np.rot90(shot.pixels, 2)), shot.name)
        for joint in range(len(shot.boxes)):
            tried.add(TURNED, joint, turned)
        if turned.refusal:
            tried.refused[turned.refusal] += 1
    copies = [
        (shot, copy)
        for number, shot in enumerate(shots)
        for copy in _copies(shot, _tasks(shots, number, seed))
    ]
    for number, (shot, copy) in enumerate(copies, 1):
        step(f"frame {number} of {len(copies)} with changed joints")
        frame = with_layers(shot, {task.joint: task.layer for task in copy})
        judged = judges.judge(frame, shot.name)
        for task in copy:
            tried.add(task.kind, task.joint, judged)
    return tried


def why_no_kind(kind: Kind, shots: Sequence[Shot]) -> str:
    """Return why a kind cannot be made from these frames; empty where it can."""
    packages = {name for shot in shots for name in shot.packages} - {""}
    if kind.need == "packages" and len(packages) < 2:
        return "the recipe names fewer than two packages"
    return ""


def _tasks(shots: Sequence[Shot], number: int, seed: int) -> Iterator[Task]:
    """Yield what is to be changed in one frame, in random order; every kind takes its joints from all frames alike."""
    shot = shots[number]
    wanted = []
    for place, kind in enumerate(KINDS):
        every = [
            (other, joint) for other, one in enumerate(shots) for joint in np.flatnonzero(one.good).tolist()
        ]
        rng = np.random.default_rng((seed, place))
        chosen = [every[index] for index in rng.permutation(len(every))[:JOINTS_A_KIND].tolist()]
        wanted += [(place, kind, joint) for other, joint in chosen if other == number]
    order = np.random.default_rng((seed, number, len(KINDS))).permutation(len(wanted)).tolist()
    for place, kind, joint in (wanted[index] for index in order):
        layer = kind.draw(shot.scene(joint), np.random.default_rng((seed, place, number, joint)))
        if layer is not None:
            yield Task(kind.name, joint, layer)


def _copies(shot: Shot, tasks: Iterator[Task]) -> list[list[Task]]:
    """Share the tasks out over copies of the frame, a few apart from each other in each."""
    most = max(1, int(CHANGED_SHARE * len(shot.boxes)))
    copies: list[list[Task]] = []
    for task in tasks:
        fitting = (copy for copy in copies if len(copy) < most and _apart(shot, task, copy))
        copy = next(fitting, None)
        if copy is None:
            copies.append([task])
        else:
            copy.append(task)
    return copies


def _apart(shot: Shot, task: Task, copy: Sequence[Task]) -> bool:
    own, others = shot.boxes[task.joint], shot.boxes[[other.joint for other in copy]]
    needed = APART * (own[2:4] + others[:, 2:4]) / 2
    return bool((np.abs(others[:, :2] - own[:2]) >= needed).any(axis=1).all())
