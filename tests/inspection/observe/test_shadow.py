import json
from fractions import Fraction

import numpy as np
import pytest
from support.bright_model import (
    MODEL,
    SPEC,
    THRESHOLDS,
    frame_of,
    image_judge,
    open_engine,
    score_of,
)
from support.grey_frames import GREYS, frames, verdict

from sji_edge.inspection.judging.frame_job import Work
from sji_edge.inspection.judging.layout import ImageLayout
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.observe.shadow import Shadow
from sji_edge.testing import FakeClock, FakeEngine


def shadow_of(tmp_path, share, knee=60.0):
    layout = ImageLayout(SPEC, THRESHOLDS)
    folder = tmp_path / "reference"
    folder.mkdir()
    reference = open_engine(folder, knee=knee)
    return Shadow(reference, MODEL, layout, layout.limits, share, tmp_path / "run.shadow.jsonl"), reference


def run(tmp_path, shadow):
    judge = image_judge(tmp_path)
    Inspection(frames(), judge, [], FakeClock(step_s=0.001), on_work=shadow.take).run()
    return shadow.close()


def test_reference_that_agrees_shows_no_error(tmp_path):
    shadow, _ = shadow_of(tmp_path, Fraction(1))
    report = run(tmp_path, shadow)
    assert report.replayed + report.skipped == len(GREYS)
    assert report.replayed > 0
    assert (report.flips, report.failure) == (0, "")
    assert report.max_score_error < 1e-6
    assert not (tmp_path / "run.shadow.jsonl").exists()


def test_disagreement_is_counted_and_written_as_the_formula_has_it(tmp_path):
    shadow, _ = shadow_of(tmp_path, Fraction(1), knee=50.0)
    judge = image_judge(tmp_path)
    for frame in frames():
        work = judge.prepare(frame, judge.own_buffer)
        judge.infer([work])
        while len(shadow._samples) > 8:
            pass
        shadow.take(work)
    report = shadow.close()
    pairs = [(score_of(grey), score_of(grey, 50.0)) for grey in GREYS]
    flips = [(one, two) for one, two in pairs if verdict(one) != verdict(two)]
    assert report.replayed == len(GREYS)
    assert report.skipped == 0
    assert report.flips == len(flips) > 0
    assert report.escape_flips == sum(verdict(one) == "PASS" for one, _ in flips)
    errors = [abs(one - two) for one, two in pairs]
    assert report.max_score_error == pytest.approx(max(errors), abs=1e-5)
    assert report.mean_score_error == pytest.approx(np.mean(errors), abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "run.shadow.jsonl").read_text().splitlines()]
    assert [(line["verdict"], line["reference"]) for line in lines] == [
        (verdict(one), verdict(two)) for one, two in flips
    ]


@pytest.mark.parametrize("share", [Fraction(1), Fraction(1, 7), Fraction(2, 9), Fraction(1, 500)])
def test_the_share_is_kept_for_any_number_of_joints(tmp_path, share):
    shadow, _ = shadow_of(tmp_path, share)
    chosen = sum(shadow._choose(crops).size for crops in [1] * 100 + [100] * 49)
    assert abs(chosen - 5000 * share) <= 2
    shadow.close()


@pytest.mark.parametrize(
    ("joints", "share"), [(20, Fraction(1, 20)), (100, Fraction(1, 500)), (50, Fraction(1, 7))]
)
def test_every_joint_of_a_board_has_its_turn(tmp_path, joints, share):
    shadow, _ = shadow_of(tmp_path, share)
    boards = int(4 * joints / (joints * share)) + 1
    counts = np.bincount(np.concatenate([shadow._choose(joints) for _ in range(boards)]), minlength=joints)
    assert counts.min() >= 1
    assert counts.max() <= 8
    shadow.close()


def test_reference_that_fails_ends_the_shadow_not_the_loop(tmp_path):
    shadow, reference = shadow_of(tmp_path, Fraction(1))
    reference.close()
    report = run(tmp_path, shadow)
    assert "closed" in report.failure
    assert (report.replayed, report.skipped) == (0, len(GREYS))


def test_a_board_that_was_not_judged_is_not_replayed(tmp_path):
    shadow, _ = shadow_of(tmp_path, Fraction(1))
    judge = image_judge(tmp_path)
    work: Work = judge.prepare(frame_of(np.zeros((40, 40), np.uint8)), judge.own_buffer)
    judge.infer([work])
    shadow.take(work)
    assert shadow.close().replayed == 0


def test_a_line_that_cannot_be_written_ends_the_shadow_and_counts_its_sample_once(tmp_path):
    shadow, _ = shadow_of(tmp_path, Fraction(1), knee=50.0)
    (tmp_path / "run.shadow.jsonl").mkdir()
    report = run(tmp_path, shadow)
    assert report.failure.startswith(f"cannot write {tmp_path / 'run.shadow.jsonl'}")
    assert report.flips == 1
    assert report.replayed + report.skipped == len(GREYS)


def test_the_shadow_closes_its_reference_and_not_under_a_call(tmp_path, monkeypatch):
    monkeypatch.setattr("sji_edge.inspection.observe.shadow.CLOSE_S", 0.1)
    layout = ImageLayout(SPEC, THRESHOLDS)
    for stalls_on in ([], [1]):
        reference = FakeEngine(0.1, crop_shape=SPEC.shape, stalls_on=stalls_on)
        shadow = Shadow(reference, MODEL, layout, layout.limits, Fraction(1), tmp_path / "run.shadow.jsonl")
        run(tmp_path, shadow)
        assert reference.closed is not bool(stalls_on)
        reference.release()
        shadow._thread.join(10)
        assert reference.closed
