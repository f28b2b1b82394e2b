"""Checks that every sink makes first: numbers are finite, and text is printable."""

import math
from dataclasses import replace

from sji_edge.core.errors import OutputError
from sji_edge.core.joint_table import JointColumns, columns_of
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
    columns = columns_of(record.joints)
    _check_numbers(record, columns)
    residual = record.alignment_residual_px
    if residual is not None and not math.isfinite(residual):
        raise OutputError(f"cannot record board {record.board}: its alignment residual is {residual}")
    return record if _readable(record, columns) else _written_out(record)


def _check_numbers(record: BoardRecord, columns: JointColumns) -> None:
    """Raise ``OutputError`` if a joint's number is not finite, or a verdict other than ERROR has no score."""
    # Infinity and NaN survive an addition, so one check serves most boards.
    total = 0.0
    for column in (columns.score, columns.novelty, columns.novelty_limit, columns.deviation):
        total += sum(filter(None, column))
    scored = None not in columns.score or all(
        score is not None or verdict == Verdict.ERROR.value
        for score, verdict in zip(columns.score, columns.verdict, strict=True)
    )
    if scored and math.isfinite(total + sum(columns.lower) + sum(columns.upper)):
        return
    for joint in record.joints:
        numbers = (joint.score, joint.lower, joint.upper, joint.novelty, joint.novelty_limit, joint.deviation)
        finite = all(number is None or math.isfinite(number) for number in numbers)
        if not finite or (joint.score is None and joint.verdict is not Verdict.ERROR):
            raise OutputError(
                f"cannot record board {record.board}: joint {joint.refdes} is {joint.verdict} with "
                f"score {joint.score}, novelty {joint.novelty}, deviation {joint.deviation} and limits "
                f"{joint.lower}, {joint.upper}, {joint.novelty_limit}; they must be finite numbers"
            )


def _readable(record: BoardRecord, columns: JointColumns) -> bool:
    names = (
        record.board,
        record.frame_name,
        record.cause,
        record.serial,
        record.product,
        record.recipe_version,
    )
    units = (text for unit in record.units for text in (unit.name, unit.serial, unit.cause))
    joined = "".join((*names, *units, *columns.refdes))
    return joined.isprintable() and "".join(set(columns.label) | set(columns.cause)).isprintable()


def _written_out(record: BoardRecord) -> BoardRecord:
    return replace(
        record,
        board=readable(record.board),
        frame_name=readable(record.frame_name),
        cause=readable(record.cause),
        serial=readable(record.serial),
        product=readable(record.product),
        recipe_version=readable(record.recipe_version),
        units=tuple(
            replace(unit, name=readable(unit.name), serial=readable(unit.serial), cause=readable(unit.cause))
            for unit in record.units
        ),
        joints=tuple(_plain_joint(joint) for joint in record.joints),
    )


def _plain_joint(joint: JointRecord) -> JointRecord:
    return replace(
        joint, refdes=readable(joint.refdes), label=readable(joint.label), cause=readable(joint.cause)
    )
