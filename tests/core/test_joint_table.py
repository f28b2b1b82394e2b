import json
from dataclasses import replace

import numpy as np
import pytest
from support.board_records import record

from sji_edge.core.errors import OutputError
from sji_edge.core.joint_table import JointTable, columns_of, count_causes, count_verdicts
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.records.write.validate import fit

NAN = float("nan")

TABLE = JointTable(
    names=("J1", "J2", "J3", "J4"),
    codes=np.array([0, 2, 3, 1], np.int8),
    scores=np.array([0.25, 0.875, NAN, 0.1]),
    lower=np.full(4, 0.4),
    upper=np.full(4, 0.6),
    labels=np.array([0, 1, 0, 0]),
    classes=("normal", "insufficient"),
    causes=np.array([-1, -1, 0, 1]),
    cause_names=("outside-frame", "unlike-training"),
    novelty=np.array([0.5, 0.25, 0.75, 1.5]),
    novelty_limits=np.full(4, 1.25),
    deviation=np.array([NAN, 0.5, 0.5, NAN]),
)
JOINTS = (
    JointRecord("J1", Verdict.PASS, 0.25, 0.4, 0.6, "normal", "", 0.5, 1.25, None),
    JointRecord("J2", Verdict.FAIL, 0.875, 0.4, 0.6, "insufficient", "", 0.25, 1.25, 0.5),
    JointRecord("J3", Verdict.ERROR, None, 0.4, 0.6, "", "outside-frame", None, 1.25, None),
    JointRecord("J4", Verdict.REVIEW, 0.1, 0.4, 0.6, "normal", "unlike-training", 1.5, 1.25, None),
)


def test_a_table_reads_like_the_joints_that_it_stands_for():
    assert tuple(TABLE) == JOINTS
    assert TABLE == JOINTS
    assert JOINTS[:3] != TABLE
    assert (TABLE[1], TABLE[-1], TABLE[1:3], len(TABLE)) == (JOINTS[1], JOINTS[3], JOINTS[1:3], 4)
    assert TABLE[0] is TABLE[0]


def test_a_table_counts_and_lists_as_plain_joints_do():
    assert list(map(list, columns_of(TABLE))) == list(map(list, columns_of(JOINTS)))
    assert count_verdicts(TABLE) == count_verdicts(JOINTS) == dict.fromkeys(Verdict, 1)
    for verdict in Verdict:
        assert count_causes(TABLE, verdict) == count_causes(JOINTS, verdict)
    assert count_causes(TABLE, Verdict.REVIEW) == {"unlike-training": 1}


def test_a_line_of_a_joint_is_what_json_writes(tmp_path):
    odd = [replace(JOINTS[0], refdes='J"1 \\ ä', score=1e-9, upper=1.0), *JOINTS[1:]]
    for number, joints in enumerate((odd, TABLE)):
        with JsonlSink(tmp_path / f"{number}.jsonl") as sink:
            sink.write(record(joints=joints))
        lines = (tmp_path / f"{number}.jsonl").read_text().splitlines()
        assert lines == [json.dumps(json.loads(line)) for line in lines]
        assert [json.loads(line)["score"] for line in lines[:-1]] == [joint.score for joint in joints]


@pytest.mark.parametrize("column", ["scores", "lower", "novelty", "deviation"])
def test_an_infinite_number_is_refused_from_a_table_too(column):
    values = getattr(TABLE, column).copy()
    values[1] = np.inf
    with pytest.raises(OutputError, match=r"joint J2 is FAIL .* must be finite numbers"):
        fit(record(joints=replace(TABLE, **{column: values})))


def test_infinities_that_cancel_are_refused():
    values = TABLE.lower.copy()
    values[:2] = np.inf, -np.inf
    with pytest.raises(OutputError, match="joint J1"):
        fit(record(joints=replace(TABLE, lower=values)))


def test_a_verdict_without_a_score_is_refused_though_an_error_has_one():
    joints = (replace(JOINTS[0], score=None), JOINTS[1], replace(JOINTS[2], score=0.5))
    with pytest.raises(OutputError, match="joint J1 is PASS with score None"):
        fit(record(joints=joints))
