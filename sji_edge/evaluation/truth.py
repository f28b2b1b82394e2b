"""Compares recorded verdicts with what the joints really were."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sji_edge.core.errors import DataError
from sji_edge.core.files import parse_json, read_bounded
from sji_edge.core.text import one_line
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.metrics.rates import DefectRates, defect_rates

GOOD_STATE = "normal"


def rates_against_truth(records: Path, truth: Path, good_state: str = GOOD_STATE) -> DefectRates:
    """Count the escapes and false calls of one run of ``infer``.

    Args:
        records: JSONL file of the run.
        truth: CSV file with the columns frame, refdes and state.
        good_state: the state of a joint without a defect.

    Raises:
        DataError: a file cannot be read, the truth does not know a recorded joint, or no joint is recorded.
    """
    known = read_truth(truth)
    codes, defective = [], []
    for frame, refdes, verdict in _read_joints(records):
        if (frame, refdes) not in known:
            raise DataError(f"{truth} has no row for joint {refdes} of frame {frame}")
        codes.append(VERDICTS.index(verdict))
        defective.append(known[frame, refdes] != good_state)
    if not codes:
        raise DataError(f"{records} holds no joint: there is nothing to compare with the truth")
    return defect_rates(np.array(codes, np.int8), np.array(defective, np.bool_))


def _read_joints(path: Path) -> Iterator[tuple[str, str, Verdict]]:
    if not path.is_file():
        raise DataError(f"cannot read the records in {path}: not a regular file")
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                record = parse_json(line, f"line {number}", error=DataError)
                if record["type"] == "joint":
                    yield record["frame"], record["refdes"], Verdict(record["verdict"])
    except DataError as error:
        raise DataError(f"cannot read the records in {path}: {error.message}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the records in {path}: {one_line(error)}") from error


def read_truth(path: Path) -> dict[tuple[str, str], str]:
    """Read the state of each joint by frame and refdes.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    content = read_bounded(path, error=DataError)
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        return {(row["frame"], row["refdes"]): row["state"] for row in rows}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {one_line(error)}") from error
    except KeyError as error:
        raise DataError(f"{path} has no column {error}; frame, refdes and state are needed") from error
