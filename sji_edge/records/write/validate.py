"""Checks that every sink makes first: numbers are finite, and text is printable."""

import math
from dataclasses import replace

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.text import readable
from sji_edge.core.verdict import Verdict


def fit(record: BoardRecord) -> BoardRecord:
    """Return a record that may be stored: unchanged, or with its text escaped.

    A file name may hold bytes that are not text, line breaks or terminal commands. They are escaped, so that an odd
    name neither stops the line nor forges a line of a log.

    Raises:
        OutputError: a number is not finite, or a verdict other than ERROR has no score.
    """
    for joint in record.joints:
        score = joint.score
        if score is None:
            true = joint.verdict is Verdict.ERROR and math.isfinite(joint.lower + joint.upper)
        else:
            # One check for all three: infinity and NaN survive an addition.
            true = math.isfinite(score + joint.lower + joint.upper)
        # None without a guard, or without enrolled boards.
        guard = (joint.novelty or 0.0) + (joint.novelty_limit or 0.0) + (joint.deviation or 0.0)
        true = true and math.isfinite(guard)
        if not true:
            raise OutputError(
                f"cannot record board {record.board}: joint {joint.refdes} is {joint.verdict} with "
                f"score {score}, novelty {joint.novelty}, deviation {joint.deviation} and limits "
                f"{joint.lower}, {joint.upper}, {joint.novelty_limit}; they must be finite numbers"
            )
    residual = record.alignment_residual_px
    if residual is not None and not math.isfinite(residual):
        raise OutputError(f"cannot record board {record.board}: its alignment residual is {residual}")
    return record if _readable(record) else _written_out(record)


def _readable(record: BoardRecord) -> bool:
    parts = [record.board, record.frame_name, record.cause]
    for joint in record.joints:
        parts += (joint.refdes, joint.label, joint.cause)
    return "".join(parts).isprintable()


def _written_out(record: BoardRecord) -> BoardRecord:
    return replace(
        record,
        board=readable(record.board),
        frame_name=readable(record.frame_name),
        cause=readable(record.cause),
        joints=tuple(_plain_joint(joint) for joint in record.joints),
    )


def _plain_joint(joint: JointRecord) -> JointRecord:
    return replace(
        joint, refdes=readable(joint.refdes), label=readable(joint.label), cause=readable(joint.cause)
    )
