"""The verdicts of a panel's units, from the verdicts of their joints."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.joint_table import JointTable
from sji_edge.core.protocols import UnitRecord
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Fault
from sji_edge.inspection.judging.frame_job import Work
from sji_edge.inspection.judging.layout import Placement
from sji_edge.inspection.judging.serials import NO_SERIAL
from sji_edge.recipe.panel import Unit


def unit_faults(work: Work, placement: Placement, *, stops: bool) -> dict[int, Fault]:
    """Return the faults that make a unit ERROR, by its index: an unclear skip mark, or a missing serial number.

    Args:
        work: with the units' serial numbers, if they were read.
        placement: with their skip marks.
        stops: a unit without its serial number is ERROR.
    """
    faults = {}
    if stops:
        faults = {place: one.fault for place, one in enumerate(work.unit_serials) if one.fault is not None}
    if placement.skips is not None:
        faults |= placement.skips.unclear
    return faults


def unit_records(
    work: Work,
    units: Sequence[Unit],
    worst: NDArray[np.int8],
    skipped: NDArray[np.bool_] | None,
    faults: Mapping[int, Fault],
    *,
    holds_back: bool,
) -> tuple[UnitRecord, ...]:
    """Return a record of each unit.

    Args:
        work: with the units' serial numbers, if they were read.
        units: of the panel.
        worst: verdict code of each unit's worst joint, int8 ``(units,)``.
        skipped: which units are skipped; None for none.
        faults: of units, by index.
        holds_back: a unit that passes without its serial number is REVIEW.
    """
    records = []
    for place, unit in enumerate(units):
        serial = work.unit_serials[place] if work.unit_serials else NO_SERIAL
        if skipped is not None and skipped[place]:
            records.append(UnitRecord(unit.name, None))
            continue
        verdict = VERDICTS[int(worst[place])]
        if holds_back and serial.fault is not None and verdict is Verdict.PASS:
            verdict = Verdict.REVIEW
        cause = faults.get(place) or serial.fault
        records.append(UnitRecord(unit.name, verdict, serial.text, str(cause or "")))
    return tuple(records)


def without_skipped(
    joints: JointTable, placement: Placement, kept: NDArray[np.bool_]
) -> tuple[JointTable, Placement]:
    """Leave out the joints of skipped units, which were not judged."""
    names = tuple(name for name, keeps in zip(joints.names, kept.tolist(), strict=True) if keeps)
    table = replace(
        joints,
        names=names,
        codes=joints.codes[kept],
        scores=joints.scores[kept],
        lower=joints.lower[kept],
        upper=joints.upper[kept],
        labels=joints.labels[kept],
        causes=joints.causes[kept],
        novelty=joints.novelty[kept],
        novelty_limits=joints.novelty_limits[kept],
        deviation=joints.deviation[kept],
    )
    return table, replace(placement, maps=placement.maps[kept], inside=placement.inside[kept])


def worst_of_units(codes: NDArray[np.int8], unit_of: NDArray[np.intp], units: int) -> NDArray[np.int8]:
    """Return the most severe code of each unit's joints, int8 ``(units,)``."""
    worst = np.zeros(units, np.int8)
    np.maximum.at(worst, unit_of, codes)
    return worst
