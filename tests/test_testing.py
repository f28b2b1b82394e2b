"""The fakes behave as the real things do where it matters, so that a test with them proves something."""

import threading

import numpy as np
import pytest
from support.bright_model import PLACES, board_image, grey_patch, write_recipe

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError, SourceError, UsageError
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Thresholds, Verdict, defect_scores
from sji_edge.testing import FakeClock, FakeEngine, FakeInspector, FakeSource

SHAPE = (6, 5, 1)


def crops(*levels):
    return np.stack([np.full(SHAPE, level, np.uint8) for level in levels])


def mean(batch):
    return batch.mean(axis=(1, 2, 3)) / 255


@pytest.mark.parametrize(("classes", "good_index"), [(2, 0), (2, 1), (5, 3)])
def test_the_engines_logits_hold_the_scores_of_the_function(classes, good_index):
    engine = FakeEngine(mean, crop_shape=SHAPE, classes=classes, good_index=good_index)
    logits = engine.infer(crops(51, 102, 204)).logits
    assert logits.dtype == np.float32
    assert logits.shape == (3, classes)
    np.testing.assert_allclose(defect_scores(logits, good_index), [0.2, 0.4, 0.8], atol=1e-6)


def test_the_ends_of_the_scale_are_kept_and_nan_is_no_score():
    engine = FakeEngine(lambda batch: [0.0, 1.0, np.nan], crop_shape=SHAPE)
    scores = defect_scores(engine.infer(crops(0, 0, 0)).logits, 0)
    np.testing.assert_allclose(scores[:2], [0.0, 1.0], atol=1e-6)
    assert np.isnan(scores[2])


def test_the_engine_refuses_what_a_real_one_refuses():
    engine = FakeEngine(crop_shape=SHAPE, max_batch=2)
    for wrong in (
        crops(1, 2, 3),
        crops(1)[:0],
        crops(1)[:, :-1],
        crops(1).astype(np.float32),
    ):
        with pytest.raises(EngineInputError):
            engine.infer(wrong)
    with pytest.raises(EngineInputError, match="batch size must be 1 to 2"):
        engine.prepare([3])
    assert engine.calls == 0
    engine.close()
    engine.close()
    with pytest.raises(EngineInputError, match="closed"):
        engine.infer(crops(1))


def test_the_engine_counts_calls_and_fails_on_the_configured_one():
    engine = FakeEngine(0.3, crop_shape=SHAPE, fails_on=[2])
    engine.prepare([1, 4])
    engine.infer(crops(1, 2))
    with pytest.raises(EnvironmentMismatchError, match="fails on call 2"):
        engine.infer(crops(1))
    np.testing.assert_allclose(defect_scores(engine.infer(crops(1, 2, 3)).logits, 0), 0.3, atol=1e-6)
    assert (engine.calls, engine.batches, engine.prepared) == (3, [2, 1, 3], {1, 4})


def test_a_stalled_call_returns_when_the_engine_is_released():
    engine = FakeEngine(crop_shape=SHAPE, stalls_on=[1])
    returned = threading.Event()
    thread = threading.Thread(target=lambda: (engine.infer(crops(1)), returned.set()), daemon=True)
    thread.start()
    assert not returned.wait(0.05)
    engine.release()
    assert returned.wait(5)
    thread.join()


def test_a_call_takes_its_time_on_the_fake_clock():
    clock = FakeClock()
    FakeEngine(crop_shape=SHAPE, call_s=2.5, clock=clock).infer(crops(1))
    assert clock.monotonic_ns() == 2_500_000_000


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"good_index": 2}, {"max_batch": 0}])
def test_an_impossible_engine_is_refused(wrong):
    with pytest.raises(UsageError):
        FakeEngine(**wrong)


def test_a_function_with_too_few_scores_is_refused():
    with pytest.raises(UsageError, match="one value for each of the 2 crops"):
        FakeEngine(lambda batch: [0.1], crop_shape=SHAPE).infer(crops(1, 2))


def test_the_source_gives_arrays_as_frames_and_none_as_an_unreadable_one():
    clock = FakeClock(step_s=1.0)
    frames = list(FakeSource([crops(9)[0, :, :, 0], None], clock=clock, missed={1: 4}))
    assert [(frame.index, frame.name, frame.captured_ns) for frame in frames] == [
        (0, "frame#000000", 10**9),
        (1, "frame#000001", 2 * 10**9),
    ]
    assert frames[0].pixels.max() == 9
    assert (frames[0].error, frames[0].missed) == ("", 0)
    assert (frames[1].pixels, frames[1].error, frames[1].missed) == (None, "unreadable", 4)


def test_a_whole_frame_is_given_as_it_is():
    frame = Frame(7, "a.png", 5, None, "torn")
    assert list(FakeSource([frame])) == [frame]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_source_is_lost_after_its_frames(count):
    seen = []
    with pytest.raises(SourceError, match=f"lost after {count} frames"):
        seen.extend(FakeSource([None, None], lost_after=count))
    assert len(seen) == count


def test_a_repeating_source_goes_on_until_it_is_closed():
    source = FakeSource([None, None], repeat=True)
    indices = []
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 5:
            source.close()
    assert indices == [0, 1, 2, 3, 4]
    assert source.closed
    assert list(FakeSource([], repeat=True)) == []


def test_time_passes_only_when_someone_waits():
    clock = FakeClock(start_utc="2025-01-01T00:00:00+00:00")
    assert clock.monotonic_ns() == clock.monotonic_ns() == 0
    clock.sleep(61.5)
    clock.advance(1.0)
    assert clock.waits == [61.5]
    assert clock.monotonic_ns() == 62_500_000_000
    assert clock.utc() == "2025-01-01T00:01:02.500000+00:00"


def test_the_inspector_judges_a_stream_with_a_fake_engine(tmp_path):
    write_recipe(tmp_path)
    engine = FakeEngine(lambda batch: np.where(mean(batch) > 0.4, 0.9, 0.1), crop_shape=(16, 16, 1))
    good = board_image(dict.fromkeys(PLACES, 60))
    bad = board_image(dict.fromkeys(PLACES, 60) | {"J3": 200})
    boards = []
    with FakeInspector(engine, recipe=tmp_path, clock=FakeClock(step_s=0.001)) as inspector:
        summary = inspector.run(FakeSource([good, None, bad]), on_board=boards.append)
        assert inspector.judge(bad).verdict is Verdict.FAIL
    assert [board.verdict for board in boards] == [Verdict.PASS, Verdict.ERROR, Verdict.FAIL]
    assert [joint.refdes for joint in boards[2].joints if joint.verdict is Verdict.FAIL] == ["J3"]
    assert (summary.captured, summary.judged) == (3, 2)
    assert engine.closed


def test_the_inspector_refuses_names_that_do_not_fit_the_engine():
    with pytest.raises(UsageError, match="the engine has 3 classes, but 2 names"):
        FakeInspector(FakeEngine(classes=3))


def test_an_engine_with_a_guard_gives_the_novelty_of_the_function():
    engine = FakeEngine(0.1, novelty=lambda batch: 2 * mean(batch), crop_shape=SHAPE)
    assert engine.spec.guarded
    output = engine.infer(crops(51, 102))
    assert output.novelty.dtype == np.float32
    np.testing.assert_allclose(output.novelty, [0.4, 0.8], atol=1e-6)
    assert FakeEngine(crop_shape=SHAPE).infer(crops(1)).novelty is None
    with pytest.raises(UsageError, match="novelty function"):
        FakeEngine(novelty=lambda batch: [0.1], crop_shape=SHAPE).infer(crops(1, 2))


def test_an_inspector_with_a_guard_reviews_what_is_unlike_training():
    limits = Thresholds(lower=0.4, upper=0.6, novelty=1.0)
    engine = FakeEngine(0.1, novelty=1.5, crop_shape=(16, 16, 1))
    with FakeInspector(engine, thresholds=limits) as inspector:
        (joint,) = inspector.judge(grey_patch(40)).joints
    assert (joint.verdict, joint.cause, joint.novelty) == (Verdict.REVIEW, "unlike-training", 1.5)
