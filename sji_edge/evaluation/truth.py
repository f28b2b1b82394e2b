"""Recorded verdicts against what the joints really were."""

import csv
import json
from pathlib import Path

import numpy as np

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.metrics.rates import DefectRates, defect_rates

GOOD_STATE = "normal"


def rates_against_truth(records: Path, truth: Path, good_state: str = GOOD_STATE) -> DefectRates:
    """Count escapes and false calls of one run of ``infer``.

    Args:
        records: the run's JSONL file.
        truth: CSV with the columns frame, refdes and state.
        good_state: the state of a joint without a defect.

    Raises:
        DataError: a file cannot be read, a recorded joint is not in the truth, or none was recorded.
    """
    known = _read_truth(truth)
    codes, defective = [], []
    for line in records.read_text().splitlines():
        record = json.loads(line)
        if record["type"] != "joint":
            continue
        key = (record["frame"], record["refdes"])
        if key not in known:
            raise DataError(f"{truth} does not say what joint {key[1]} of {key[0]} is")
        codes.append(VERDICTS.index(Verdict(record["verdict"])))
        defective.append(known[key] != good_state)
    if not codes:
        raise DataError(f"{records} records no joint: nothing to compare with the truth")
    return defect_rates(np.array(codes, np.int8), np.array(defective, np.bool_))


def _read_truth(path: Path) -> dict[tuple[str, str], str]:
    try:
        with path.open(newline="") as stream:
            return {(row["frame"], row["refdes"]): row["state"] for row in csv.DictReader(stream)}
    except (OSError, KeyError) as error:
        raise DataError(f"{path} is no table of frame, refdes and state: {error}") from error
