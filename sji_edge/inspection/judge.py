"""From one frame to one board record: check, place, cut, infer, decide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import Clock
from sji_edge.core.errors import EngineInputError, SjiError
from sji_edge.core.preprocess import Image, crops_of_frame
from sji_edge.core.protocols import BoardRecord, Engine, Frame, JointRecord
from sji_edge.core.verdict import ERROR, VERDICTS, Verdict, decide_each, defect_scores, worst
from sji_edge.inspection.faults import Cause, Fault, frame_fault
from sji_edge.inspection.layout import Layout, Placement

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Model:
    """What the judge must know of an engine's model: the logits' columns, its crop, its bundle's hash."""

    classes: tuple[str, ...]
    good_index: int
    preprocess: PreprocessSpec
    engine_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A record, where its joints were, why it is an ERROR, and the engine's exception if that is why."""

    record: BoardRecord
    placement: Placement | None
    cause: Cause | None = None
    failure: Exception | None = None


class Stopwatch:
    """Nanoseconds by stage, each from the end of the one before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic_ns()
        self.stages: dict[str, int] = {}

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = self._clock.monotonic_ns()
        self.stages[stage] = now - self._last
        self._last = now


class BoardJudge:
    """Judges frames one at a time with one engine and one buffer of crops, allocated once.

    Args:
        engine: takes the model's crops; used by this judge alone while it lives.
        model: the logits' meaning.
        layout: the joints of a frame.
        clock: for latencies and records.
        run: begins every board's name, so that no two runs share one.

    Raises:
        EngineInputError: the engine takes other crops, or gives other classes, than the model says.
    """

    def __init__(self, engine: Engine, model: Model, layout: Layout, clock: Clock, run: str) -> None:
        spec = engine.spec
        if spec.crop_shape != model.preprocess.shape or spec.classes != len(model.classes):
            raise EngineInputError(
                f"the engine takes {spec.crop_shape} crops and gives {spec.classes} classes, "
                f"its card says {model.preprocess.shape} and {len(model.classes)}",
                hint="build the engine again",
            )
        self._engine = engine
        self._model = model
        self._layout = layout
        self._clock = clock
        self._run = run
        joints = len(layout.limits.lower)
        self._crops = np.zeros((joints, *spec.crop_shape), np.uint8)
        self._logits = np.empty((joints, spec.classes), np.float32)

    def warm_up(self) -> None:
        """Get the engine ready for this layout's batches, so that the first board is not the slowest."""
        whole, rest = divmod(len(self._crops), self._engine.spec.max_batch)
        self._engine.prepare([size for size in (self._engine.spec.max_batch if whole else 0, rest) if size])
        self._infer(self._crops)

    def judge(self, frame: Frame, acquire_ns: int = 0) -> Judgement:
        """Judge one frame; what keeps it from a verdict becomes an ERROR record, never an exception.

        Args:
            frame: as the source gave it.
            acquire_ns: how long it was waited for.
        """
        watch = Stopwatch(self._clock)
        watch.stages["acquire"] = acquire_ns
        fault = frame_fault(frame, self._layout.size)
        watch.lap("check")
        if fault is not None or frame.pixels is None:
            return self._error(frame, watch, fault or Fault(Cause.UNREADABLE, "no pixels"))
        placement = self._layout.place(frame.pixels)
        watch.lap("align")
        if isinstance(placement, Fault):
            return self._error(frame, watch, placement)
        crops = self._cut(frame, frame.pixels, placement)
        watch.lap("crop")
        try:
            logits = self._infer(crops)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, the board is on record as ERROR
            watch.lap("infer")
            found = error.message if isinstance(error, SjiError) else f"{type(error).__name__}: {error}"
            return self._error(frame, watch, Fault(Cause.ENGINE, found), placement, error)
        watch.lap("infer")
        return self._decide(frame, watch, placement, logits)

    def _cut(self, frame: Frame, pixels: Image, placement: Placement) -> Image:
        inside = placement.inside
        names = [name for name, there in zip(self._layout.names(frame), inside, strict=True) if there]
        crops: Image = self._crops[: len(names)]
        if names:
            crops_of_frame(pixels, placement.maps[inside], names, self._model.preprocess, crops)
        return crops

    def _infer(self, crops: Image) -> Logits:
        """Run the engine in batches of at most its ``max_batch``; into the judge's own buffer."""
        step = self._engine.spec.max_batch
        logits = self._logits[: len(crops)]
        for start in range(0, len(crops), step):
            batch = crops[start : start + step]
            answer = self._engine.infer(batch)
            if answer.shape != (len(batch), len(self._model.classes)):
                raise EngineInputError(
                    f"the engine gave logits of shape {answer.shape} for {len(batch)} crops "
                    f"and {len(self._model.classes)} classes"
                )
            logits[start : start + step] = answer
        return logits

    def _decide(self, frame: Frame, watch: Stopwatch, placement: Placement, logits: Logits) -> Judgement:
        limits, inside = self._layout.limits, placement.inside
        scores = np.full(len(inside), np.nan)
        scores[inside] = defect_scores(logits, self._model.good_index)
        codes = decide_each(scores, limits.lower, limits.upper)
        labels = np.zeros(len(inside), np.intp)
        labels[inside] = logits.argmax(axis=1)
        names = self._layout.names(frame)
        joints = tuple(
            JointRecord(name, VERDICTS[code], score, lower, upper, self._model.classes[label])
            if code != ERROR
            else JointRecord(name, Verdict.ERROR, None, lower, upper, cause=_joint_cause(bool(there)))
            for name, code, score, lower, upper, label, there in zip(
                names,
                codes.tolist(),
                scores.tolist(),
                limits.lower.tolist(),
                limits.upper.tolist(),
                labels.tolist(),
                inside.tolist(),
                strict=True,
            )
        )
        fault = _joint_fault([joint for joint in joints if joint.verdict is Verdict.ERROR])
        watch.lap("decide")
        record = self._record(frame, watch, worst(codes), joints, fault, placement)
        return Judgement(record, placement, fault.cause if fault else None)

    def _error(
        self,
        frame: Frame,
        watch: Stopwatch,
        fault: Fault,
        placement: Placement | None = None,
        failure: Exception | None = None,
    ) -> Judgement:
        limits = self._layout.limits
        joints = tuple(
            JointRecord(name, Verdict.ERROR, None, lower, upper, cause=fault.cause)
            for name, lower, upper in zip(
                self._layout.names(frame), limits.lower.tolist(), limits.upper.tolist(), strict=True
            )
        )
        record = self._record(frame, watch, Verdict.ERROR, joints, fault, placement)
        return Judgement(record, placement, fault.cause, failure)

    def _record(
        self,
        frame: Frame,
        watch: Stopwatch,
        verdict: Verdict,
        joints: tuple[JointRecord, ...],
        fault: Fault | None,
        placement: Placement | None,
    ) -> BoardRecord:
        since_capture = self._clock.monotonic_ns() - frame.captured_ns
        return BoardRecord(
            board=f"{self._run}-{frame.index:06d}",
            frame_index=frame.index,
            frame_name=frame.name,
            utc=self._clock.utc(),
            verdict=verdict,
            joints=joints,
            engine_sha256=self._model.engine_sha256,
            recipe_sha256=self._layout.recipe_sha256,
            cause=str(fault) if fault else "",
            alignment_residual_px=placement.residual_px if placement else None,
            latency_ns={**watch.stages, "since_capture": since_capture},
        )


def _joint_cause(inside: bool) -> Cause:
    return Cause.NOT_FINITE if inside else Cause.OUTSIDE_FRAME


def _joint_fault(errors: list[JointRecord]) -> Fault | None:
    """A board's fault from its ERROR joints: the first one's cause, and how many share it."""
    if not errors:
        return None
    cause = Cause(errors[0].cause)
    shared = sum(joint.cause == cause for joint in errors)
    return Fault(cause, f"joint {errors[0].refdes}" + (f" and {shared - 1} more" if shared > 1 else ""))
