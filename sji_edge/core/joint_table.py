"""The joints of a board by columns: the loop decides in arrays, and the records need no Python object per joint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import ERROR, VERDICTS, Verdict

Column = NDArray[np.float64]
VERDICT_NAMES = tuple(verdict.value for verdict in VERDICTS)


class JointColumns(NamedTuple):
    """The joints of a board as lists of plain values, all of the same length; None where a joint has no such value."""

    refdes: Sequence[str]
    verdict: list[str]
    score: Sequence[float | None]
    lower: list[float]
    upper: list[float]
    label: list[str]
    cause: list[str]
    novelty: Sequence[float | None]
    novelty_limit: Sequence[float | None]
    deviation: Sequence[float | None]


@dataclass(frozen=True, slots=True, eq=False)
class JointTable(Sequence[JointRecord]):
    """A sequence of ``JointRecord`` that makes each of them only when somebody asks for it.

    Every column has one value for each joint. NaN stands for a value that a joint does not have; a joint whose verdict
    is ERROR has neither score, label, novelty nor deviation, whatever its columns hold.

    Attributes:
        names: reference designators.
        codes: verdicts, int8 indices into ``VERDICTS``.
        scores: float64, as ``lower``, ``upper``, ``novelty``, ``novelty_limits`` and ``deviation``.
        lower: PASS limits.
        upper: FAIL limits.
        labels: indices into ``classes``.
        classes: the model's classes.
        causes: indices into ``cause_names``; -1 for none.
        cause_names: what the causes mean.
        novelty: NaN without a guard.
        novelty_limits: NaN without a guard.
        deviation: NaN without enrolled boards.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int8]
    scores: Column
    lower: Column
    upper: Column
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    causes: NDArray[np.intp]
    cause_names: tuple[str, ...]
    novelty: Column
    novelty_limits: Column
    deviation: Column
    _columns: list[JointColumns] = field(default_factory=list, init=False, repr=False)
    _records: list[tuple[JointRecord, ...]] = field(default_factory=list, init=False, repr=False)

    @property
    def records(self) -> tuple[JointRecord, ...]:
        """The joints as objects, made once."""
        if not self._records:
            self._records.append(_records(self.columns))
        return self._records[0]

    @property
    def columns(self) -> JointColumns:
        """The joints as lists, made once."""
        if not self._columns:
            self._columns.append(self._listed())
        return self._columns[0]

    def _listed(self) -> JointColumns:
        judged = self.codes != ERROR
        classes, causes = self.classes, (*self.cause_names, "")
        all_judged = bool(judged.all())
        return JointColumns(
            refdes=self.names,
            verdict=[VERDICT_NAMES[code] for code in self.codes.tolist()],
            score=_known(self.scores, None if all_judged else judged),
            lower=self.lower.tolist(),
            upper=self.upper.tolist(),
            label=[classes[label] for label in self.labels.tolist()]
            if all_judged
            else [
                classes[label] if own else ""
                for label, own in zip(self.labels.tolist(), judged.tolist(), strict=True)
            ],
            cause=[causes[cause] for cause in self.causes.tolist()],
            novelty=_known(self.novelty, None if all_judged else judged),
            novelty_limit=_known(self.novelty_limits, None),
            deviation=_known(self.deviation, None if all_judged else judged),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[JointRecord]:
        return iter(self.records)

    @overload
    def __getitem__(self, place: int) -> JointRecord: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[JointRecord, ...]: ...

    def __getitem__(self, place: int | slice) -> JointRecord | tuple[JointRecord, ...]:
        return self.records[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.records == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def columns_of(joints: Sequence[JointRecord]) -> JointColumns:
    """Return a board's joints as lists, whatever sequence holds them."""
    if isinstance(joints, JointTable):
        return joints.columns
    return JointColumns(
        refdes=[joint.refdes for joint in joints],
        verdict=[joint.verdict.value for joint in joints],
        score=[joint.score for joint in joints],
        lower=[joint.lower for joint in joints],
        upper=[joint.upper for joint in joints],
        label=[joint.label for joint in joints],
        cause=[joint.cause for joint in joints],
        novelty=[joint.novelty for joint in joints],
        novelty_limit=[joint.novelty_limit for joint in joints],
        deviation=[joint.deviation for joint in joints],
    )


def count_verdicts(joints: Sequence[JointRecord]) -> dict[Verdict, int]:
    """Count the joints of each verdict; every verdict has an entry."""
    if isinstance(joints, JointTable):
        counts = np.bincount(joints.codes, minlength=len(VERDICTS)).tolist()
        return dict(zip(VERDICTS, counts, strict=True))
    verdicts = [joint.verdict for joint in joints]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def count_causes(joints: Sequence[JointRecord], verdict: Verdict) -> dict[str, int]:
    """Count the causes of the joints that have a verdict; joints without a cause are left out."""
    if not isinstance(joints, JointTable):
        causes = [joint.cause for joint in joints if joint.verdict is verdict and joint.cause]
        return {cause: causes.count(cause) for cause in causes}
    found = joints.causes[(joints.codes == VERDICTS.index(verdict)) & (joints.causes >= 0)]
    if not found.size:
        return {}
    return {joints.cause_names[place]: int((found == place).sum()) for place in set(found.tolist())}


def _records(columns: JointColumns) -> tuple[JointRecord, ...]:
    return tuple(
        JointRecord(name, Verdict(verdict), score, lower, upper, label, cause, novelty, limit, deviation)
        for name, verdict, score, lower, upper, label, cause, novelty, limit, deviation in zip(
            *columns, strict=True
        )
    )


def _known(values: Column, where: NDArray[np.bool_] | None) -> list[float | None]:
    """Return a column as a list, with None for NaN and outside ``where``."""
    missing = np.isnan(values)
    if where is not None:
        missing |= ~where
    if not missing.any():
        kept: list[float | None] = values.tolist()
        return kept
    if missing.all():
        return [None] * len(values)
    return [None if gone else value for value, gone in zip(values.tolist(), missing.tolist(), strict=True)]
