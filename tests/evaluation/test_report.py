import numpy as np
import pytest
from scipy.stats import beta

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import Thresholds
from sji_edge.evaluation.report import Answers, measure

LIMITS = Thresholds(lower=0.3, upper=0.7)
CLASSES = ("normal", "defective")


def answers(seed=0, goods=60, defects=20) -> Answers:
    rng = np.random.default_rng(seed)
    labels = np.array([0] * goods + [1] * defects)
    odds = rng.normal(np.where(labels == 1, 1.5, -1.5), 1.5)
    return Answers(np.stack([np.zeros_like(odds), odds], axis=1).astype(np.float32), labels)


def measured(given: Answers, **changes):
    options = {"classes": CLASSES, "good_index": 0, "thresholds": LIMITS, "replicates": 200}
    return measure(given, **{**options, **changes})


def test_rates_equal_a_count_by_hand_and_scipys_interval():
    given = answers()
    scores = 1 / (1 + np.exp(-given.logits[:, 1].astype(float)))
    escapes = sum(s < 0.3 for s, label in zip(scores, given.labels, strict=True) if label == 1)
    figure = measured(given).figure("escape_rate")
    assert figure.value == pytest.approx(escapes / 20)
    assert figure.counts == f"{escapes} of 20"
    assert figure.high == pytest.approx(beta.ppf(0.975, escapes + 1, 20 - escapes))


def test_every_value_lies_in_its_interval():
    for figure in measured(answers(), validation=answers(1)).figures:
        assert figure.value is not None
        assert figure.low - 1e-12 <= figure.value <= figure.high + 1e-12, figure.name


def test_groups_widen_the_intervals_of_joints_that_repeat():
    one = answers()
    many = Answers(np.repeat(one.logits, 8, axis=0), np.repeat(one.labels, 8))
    grouped = Answers(many.logits, many.labels, np.repeat(np.arange(one.labels.size), 8))
    width = [f.high - f.low for f in (measured(many).figure("auroc"), measured(grouped).figure("auroc"))]
    assert width[1] > 2 * width[0]


def test_without_a_defect_it_says_so_instead_of_a_number():
    found = measured(answers(defects=0))
    for name in ("escape_rate", "f1_defect", "average_precision", "auroc", "false_calls_at_0_escape"):
        assert found.figure(name).value is None
        assert found.figure(name).why == "no defective joint in this split"
    assert found.figure("false_call_rate").value is not None
    assert found.curve[0].escape_rate is None


def test_without_a_good_joint_it_says_so_instead_of_a_number():
    found = measured(answers(goods=0))
    assert found.figure("false_call_rate").value is None
    assert "no good joint" in found.figure("auroc").why
    assert found.figure("escape_rate").value is not None


def test_a_class_without_joints_leaves_no_macro_f1():
    given = answers()
    wide = Answers(np.column_stack([given.logits, np.full(80, -9.0, np.float32)]), given.labels)
    found = measured(wide, classes=("normal", "bridge", "void"))
    assert found.figure("macro_f1").value is None
    assert found.figure("macro_f1").why == "no joint of class void in this split"


def test_the_calibrated_error_needs_a_validation_split():
    figure = measured(answers()).figure("ece_calibrated")
    assert figure.value is None
    assert "validation" in figure.why


def test_the_class_table_counts_every_joint_once():
    found = measured(answers())
    assert [row.joints for row in found.classes] == [60, 20]
    for row in found.classes:
        assert sum(row.predicted.values()) == sum(row.verdicts.values()) == row.joints


def test_the_curve_is_what_each_limit_would_do():
    given = answers()
    scores = 1 / (1 + np.exp(-given.logits[:, 1].astype(float)))
    for point in measured(given).curve[::7]:
        # The two formulas of the score differ in the last digit.
        limit = point.limit - 1e-12
        assert point.escape_rate == pytest.approx(np.mean(scores[given.labels == 1] < limit))
        assert point.false_call_rate == pytest.approx(np.mean(scores[given.labels == 0] >= limit))


def test_no_joint_and_no_finite_logit_are_errors():
    with pytest.raises(DataError, match="no joint to evaluate"):
        measured(Answers(np.empty((0, 2), np.float32), np.empty(0, np.int64)))
    broken = answers()
    broken.logits[3, 1] = np.nan
    with pytest.raises(DataError, match="non-finite logits"):
        measured(broken)
