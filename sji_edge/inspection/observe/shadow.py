"""Shadow parity: judges a share of the crops again with the reference graph, in parallel to the loop."""

import json
import os
import threading
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Engine
from sji_edge.core.verdict import PASS, VERDICTS, decide_each, defect_scores, stopped_by_guard
from sji_edge.inspection.channel import Channel
from sji_edge.inspection.judging.frame_job import Model, Work
from sji_edge.inspection.judging.layout import Layout, Limits

QUEUE = 32
"""Maximum number of frames whose crops wait for the reference; crops beyond that are skipped and counted."""
NICENESS = 10
GOLDEN_TURN = 0x9E3779B97F4A7C15
"""The golden ratio's fraction of a full turn of 2^64."""
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What the replay found.

    Attributes:
        replayed: crops that both the engine and the reference judged.
        skipped: crops of the share that were not replayed, because the reference was busy or had failed.
        flips: verdicts that differ.
        escape_flips: flips in which the engine says PASS.
        silent_guard_flips: those of them in which the reference's guard stopped the joint.
        max_score_error: largest difference between two scores.
        mean_score_error: mean over all replayed crops; a score that is not finite counts as an error of 1.
        failure: why the replay ended early; empty otherwise.
    """

    replayed: int = 0
    skipped: int = 0
    flips: int = 0
    escape_flips: int = 0
    max_score_error: float = 0.0
    mean_score_error: float = 0.0
    failure: str = ""
    silent_guard_flips: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    frame_name: str
    names: tuple[str, ...]
    places: NDArray[np.intp]
    crops: Image
    scores: NDArray[np.float64]
    novelty: NDArray[np.float32] | None


class Shadow:
    """Replays crops in its own thread, at lower priority if the system allows that.

    Args:
        reference: the FP32 graph, opened for one thread. The shadow owns it and closes it after its last call.
        model: the meaning of the logits.
        layout: the joints, with the engine's thresholds.
        reference_limits: the joints' thresholds for the reference's scores.
        share: share of the crops, above 0 and at most 1.
        path: JSON lines file with one line per verdict that differs; created with the first one.
    """

    def __init__(
        self,
        reference: Engine,
        model: Model,
        layout: Layout,
        reference_limits: Limits,
        share: Fraction,
        path: Path,
    ) -> None:
        self._reference = reference
        self._model = model
        self._layout = layout
        self._reference_limits = reference_limits
        self._share = share
        self._path = path
        self._seen = 0
        self._error_sum = 0.0
        self._report = ShadowReport()
        self._lock = threading.Lock()
        self._samples: Channel[_Sample] = Channel(QUEUE)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def take(self, work: Work) -> None:
        """Take a frame's share of crops after the engine has judged them. Never waits."""
        if work.logits is None or work.placement is None or not len(work.crops):
            return
        chosen = self._choose(len(work.crops))
        if not chosen.size:
            return
        # Check the queue first, so that a skipped sample costs no copy.
        if len(self._samples) >= QUEUE or not self._thread.is_alive():
            self._skip(chosen.size)
            return
        sample = _Sample(
            work.frame.name,
            self._layout.names(work.frame),
            np.flatnonzero(work.placement.inside)[chosen],
            work.crops[chosen],
            defect_scores(work.logits[chosen], self._model.good_index),
            None if work.novelty is None else work.novelty[chosen],
        )
        if not self._samples.put(sample):
            self._skip(chosen.size)

    def _choose(self, crops: int) -> NDArray[np.intp]:
        """Select those of the next crops that belong to the share, spread evenly over the run and a board's joints.

        Multiples of the golden ratio lie evenly on a circle, and so do those of each single joint. A plain count would
        select the same joints of every board if their number is a multiple of the share's.
        """
        numbers = np.arange(self._seen, self._seen + crops, dtype=np.uint64)
        self._seen += crops
        limit = self._share.numerator * 2**64 // self._share.denominator - 1
        return np.flatnonzero(numbers * np.uint64(GOLDEN_TURN) <= np.uint64(limit))

    def _skip(self, crops: int) -> None:
        with self._lock:
            self._report = replace(self._report, skipped=self._report.skipped + crops)

    def report(self) -> ShadowReport:
        """Return what was found so far. Any thread may call it."""
        with self._lock:
            return self._report

    def close(self) -> ShadowReport:
        """Replay the queued crops for a few seconds at most; count those that are left as skipped.

        The shadow's thread closes the reference. If a call of the reference does not return, it stays open.
        """
        self._samples.close()
        self._thread.join(CLOSE_S)
        while (left := self._samples.get_waiting()) is not None:
            self._skip(len(left.places))
        self._thread.join(CLOSE_S)
        return self.report()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        with closing(self._reference):
            while (sample := self._samples.get()) is not None:
                if not self._replayed(sample):
                    break

    def _replayed(self, sample: _Sample) -> bool:
        """Replay a sample; return False, with the reason in the report, when the shadow cannot go on."""
        try:
            lines = self._replay(sample)
        except Exception as error:  # noqa: BLE001 - kept for the report; the loop goes on without a shadow
            self._skip(len(sample.places))
            return self._fail(f"{type(error).__name__}: {error}")
        try:
            if lines:
                with self._path.open("a", encoding="utf-8") as stream:
                    stream.writelines(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)
        except OSError as error:
            return self._fail(f"cannot write {self._path}: {error.strerror}")
        return True

    def _fail(self, reason: str) -> bool:
        with self._lock:
            self._report = replace(self._report, failure=reason)
        return False

    def _replay(self, sample: _Sample) -> list[dict[str, object]]:
        """Judge a sample with the reference and count it; return a line for each verdict that differs."""
        limit = self._reference.spec.max_batch
        outputs = [
            self._reference.infer(sample.crops[start : start + limit])
            for start in range(0, len(sample.crops), limit)
        ]
        scores = defect_scores(np.concatenate([output.logits for output in outputs]), self._model.good_index)
        strange = [output.novelty for output in outputs if output.novelty is not None]
        novelty = np.concatenate(strange) if strange else None
        own, other = self._layout.limits, self._reference_limits
        verdicts = _decided(sample.scores, sample.novelty, own, sample.places)
        wanted = _decided(scores, novelty, other, sample.places)
        errors = np.abs(sample.scores - scores)
        errors[~np.isfinite(errors)] = 1.0
        flipped = np.flatnonzero(verdicts != wanted)
        lines: list[dict[str, object]] = [
            {
                "type": "shadow",
                "frame": sample.frame_name,
                "refdes": sample.names[int(sample.places[index])],
                "verdict": VERDICTS[verdicts[index]].value,
                "reference": VERDICTS[wanted[index]].value,
                "score": _finite(sample.scores[index]),
                "reference_score": _finite(scores[index]),
                "novelty": None if sample.novelty is None else _finite(sample.novelty[index]),
                "reference_novelty": None if novelty is None else _finite(novelty[index]),
            }
            for index in flipped
        ]
        stopped = stopped_by_guard(wanted, scores, other.lower[sample.places])
        silent = int((stopped & (verdicts == PASS)).sum())
        self._count(errors, len(flipped), int((verdicts[flipped] == PASS).sum()), silent)
        return lines

    def _count(self, errors: NDArray[np.float64], flips: int, escapes: int, silent: int) -> None:
        self._error_sum += float(errors.sum())
        with self._lock:
            before = self._report
            replayed = before.replayed + len(errors)
            self._report = replace(
                before,
                replayed=replayed,
                flips=before.flips + flips,
                escape_flips=before.escape_flips + escapes,
                silent_guard_flips=before.silent_guard_flips + silent,
                max_score_error=max(before.max_score_error, float(errors.max())),
                mean_score_error=self._error_sum / replayed,
            )


def as_json(report: ShadowReport) -> dict[str, object]:
    """Return the fields of a report for a status line."""
    return asdict(report)


def _decided(
    scores: NDArray[np.float64], novelty: NDArray[np.float32] | None, limits: Limits, places: NDArray[np.intp]
) -> NDArray[np.int8]:
    limit = None if limits.novelty is None else limits.novelty[places]
    return decide_each(scores, limits.lower[places], limits.upper[places], novelty, limit)


def _finite(score: np.floating) -> float | None:
    return float(score) if np.isfinite(score) else None
