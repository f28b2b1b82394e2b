"""A frame on its way through the stages, its time limits, and the resulting judgement."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import Clock
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import BoardRecord, Frame
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.hidden_joints import Flags
from sji_edge.inspection.judging.layout import Placement
from sji_edge.inspection.judging.serials import NO_SERIAL, Serial

Logits = NDArray[np.float32]
Novelty = NDArray[np.float32]
Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Model:
    """What the judge must know of an engine's model: the columns of the logits, the crop, the bundle's hash."""

    classes: tuple[str, ...]
    good_index: int
    preprocess: PreprocessSpec
    engine_sha256: str


ENGINE_LIMIT_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Time limits of a run; None for no limit.

    Attributes:
        max_age_ns: maximum age of a frame, from its capture, when work on it begins.
        takt_ns: maximum time from the capture to the verdict.
        waits: count the time in queues too. For stored images it is left out: a file was not captured at any moment of
            this run, and how far ahead of the engine it was read says nothing about a line.
        engine_ns: maximum duration of one engine call during the run; after that the engine counts as stalled.
        warm_up_ns: the same for the calls that make the engine ready.
    """

    max_age_ns: int | None = None
    takt_ns: int | None = None
    waits: bool = True
    engine_ns: int = ENGINE_LIMIT_NS
    warm_up_ns: int = ENGINE_LIMIT_NS


class Stopwatch:
    """Measures nanoseconds by stage, each from the end of the previous one; ``wait`` is the time between stages.

    The stages and ``wait`` add up to the time since the capture; ``acquire`` is the time before it.
    """

    def __init__(self, clock: Clock, captured_ns: int, acquire_ns: int = 0) -> None:
        self._clock = clock
        self._captured = captured_ns
        self._last = clock.monotonic_ns()
        self.stages = {"acquire": acquire_ns, "wait": self._last - captured_ns}

    def begin(self) -> None:
        """Count the time since the last stage as a wait, for example in a channel."""
        now = self._clock.monotonic_ns()
        self.stages["wait"] += now - self._last
        self._last = now

    def age_ns(self) -> int:
        """Return the time since the capture."""
        return self._clock.monotonic_ns() - self._captured

    def lap(self, stage: str) -> None:
        """End a stage. The parts of a stage that ends several times are added up."""
        now = self._clock.monotonic_ns()
        self.stages[stage] = self.stages.get(stage, 0) + now - self._last
        self._last = now


@dataclass(slots=True, eq=False)
class Work:
    """A frame between two stages.

    ``crops`` is its part of ``buffer``, empty if there is a fault. ``hidden`` flags the joints within the frame that
    cannot be seen. ``novelty`` and ``features`` stay None if the engine has no guard. ``ticket`` is that of a frame
    that an engine has already begun to copy.
    """

    frame: Frame
    watch: Stopwatch
    buffer: Image = field(repr=False)
    crops: Image = field(repr=False)
    fault: Fault | None = None
    placement: Placement | None = None
    hidden: Flags | None = None
    logits: Logits | None = None
    novelty: Novelty | None = None
    features: Features | None = None
    failure: Exception | None = None
    ticket: int | None = None
    serial: Serial = NO_SERIAL
    unit_serials: tuple[Serial, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A board's record, the placement of its joints, and for an ERROR its cause and the engine's exception, if any.

    ``features`` are the engine's, one row for each joint within the frame; None if it gives none.
    """

    record: BoardRecord
    placement: Placement | None
    cause: Cause | None = None
    failure: Exception | None = None
    features: Features | None = None
