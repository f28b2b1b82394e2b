"""The real TensorRT engine class judging boards, on a stand-in for the GPU in host memory."""

import numpy as np
import pytest
from support.bright_model import (
    MODEL,
    PLACES,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    open_engine,
    recipe_judge,
    score_of,
    write_recipe,
)
from support.drawn_board import rigid
from support.host_device import PACKAGES, HostBindings, HostContext, HostPlan, host_cut

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.core.protocols import EngineSpec, FrameEngine
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.runtime.tensorrt import engine as tensorrt_engine
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine
from sji_edge.runtime.tensorrt.plan import LoadedPlan
from sji_edge.testing import FakeClock

GREYS = {"J1": 40, "J2": 58, "J3": 60, "J4": 63, "J5": 90}


@pytest.fixture
def device(tmp_path, monkeypatch, kernel):
    """``(graphs) -> judge, plan``: a judge whose engine cuts the joints itself."""

    def make(graphs: bool = True, extra: str = "", on_device: bool = True, off: int = 0, cuts: bool = True):
        bindings = HostBindings() if graphs else None
        monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", lambda: bindings)
        cpu = open_engine(tmp_path)
        plan = HostPlan(lambda crops: cpu.infer(crops).logits)
        spec = EngineSpec(SPEC.shape, 2, 8, "tensorrt", "fp32")
        engine = TensorRtEngine(
            HostContext(host_cut(kernel, SPEC, off) if cuts else None),
            LoadedPlan(PACKAGES["10"], (), plan, spec, Profile(1, 8, 8)),
        )
        assert isinstance(engine, FrameEngine)
        engine.bindings = bindings
        layout = RecipeLayout(write_recipe(tmp_path / "recipe", extra), SPEC, THRESHOLDS)
        judge = BoardJudge(
            engine, MODEL, layout, FakeClock(step_s=0.001), "run", on_device=on_device, live=False
        )
        return judge, plan

    return make


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("matrix", [np.eye(2, 3), rigid(1.5, (25, -18))])
def test_boards_get_the_scores_that_the_host_path_gives(device, graphs, matrix) -> None:
    judge, _ = device(graphs)
    judge.warm_up([board_image(GREYS)])
    for number in range(4):
        greys = {name: grey + number for name, grey in GREYS.items()}
        judgement = judge.judge(frame_of(board_image(greys, matrix), number))
        scores = {joint.refdes: joint.score for joint in judgement.record.joints}
        assert scores == pytest.approx({name: score_of(grey) for name, grey in greys.items()}, abs=1e-5)
        assert {"check", "align", "infer"} <= set(judgement.record.latency_ns)
        assert "crop" not in judgement.record.latency_ns


@pytest.mark.parametrize("golden", [[], [board_image(GREYS)]])
def test_warming_up_makes_room_and_recordings_that_the_first_board_only_replays(device, golden) -> None:
    judge, _ = device()
    judge.warm_up(golden)
    engine = judge._engine
    launches, memories = engine.bindings.launches, len(engine._context.memories)
    judge.judge(frame_of(board_image(GREYS)))
    assert engine.bindings.launches == launches + 1
    assert len(engine._context.memories) == memories


@pytest.mark.parametrize("golden", [[], [board_image(GREYS)]])
@pytest.mark.parametrize(("off", "refused"), [(1, False), (2, True)])
def test_a_device_that_cuts_otherwise_than_the_host_is_refused(device, golden, off, refused) -> None:
    judge, _ = device(off=off)
    if not refused:
        judge.warm_up(golden)
        return
    with pytest.raises(EnvironmentMismatchError, match="by 2 grey levels, limit 1"):
        judge.warm_up(golden)


def test_a_lone_frame_is_on_its_way_to_the_device_before_it_is_checked_and_aligned(device) -> None:
    judge, _ = device()
    calls: list[str] = []
    engine, layout = judge._engine, judge._layout
    for owner, name in ((engine, "begin_frame"), (layout, "place"), (engine, "submit_joints")):
        real = getattr(owner, name)
        setattr(owner, name, lambda *words, real=real, name=name: (calls.append(name), real(*words))[1])
    judge.warm_up([board_image(GREYS)])
    calls.clear()
    for number in range(3):
        judgement = judge.judge(frame_of(board_image(GREYS), number))
        assert [joint.score for joint in judgement.record.joints] == pytest.approx(
            [score_of(grey) for grey in GREYS.values()], abs=1e-5
        )
    assert calls == ["begin_frame", "place", "submit_joints"] * 3


def test_frames_that_get_no_verdict_leave_the_device_free_for_the_next(device) -> None:
    judge, _ = device()
    judge.warm_up([board_image(GREYS)])
    black, small = np.zeros_like(board_image(GREYS)), np.zeros((20, 30), np.uint8)
    blank = np.full_like(board_image(GREYS), 128)
    memories = len(judge._engine._context.memories)
    for number, pixels in enumerate([black, small, blank] * 3):
        assert judge.judge(frame_of(pixels, number)).record.verdict is Verdict.ERROR
    assert judge.judge(frame_of(board_image(GREYS))).record.verdict is not Verdict.ERROR
    # A frame of a wrong size took nobody's memory or recordings.
    assert len(judge._engine._context.memories) == memories


def test_where_the_kernel_does_not_load_the_host_cuts_and_it_is_said(device) -> None:
    judge, _ = device(cuts=False)
    judge.warm_up([board_image(GREYS)])
    judgement = judge.judge(frame_of(board_image(GREYS)))
    assert [joint.score for joint in judgement.record.joints] == pytest.approx(
        [score_of(grey) for grey in GREYS.values()], abs=1e-5
    )
    assert "crop" in judgement.record.latency_ns
    assert judge.notes == (
        "the host cuts the joints instead of the GPU, which is slower: "
        "the crop kernel does not load here: no kernel image",
    )
    with pytest.raises(EnvironmentMismatchError, match="does not load here"):
        judge._engine.submit_frame(board_image(GREYS), np.zeros((1, 2, 3)))


def test_a_recording_that_fails_is_said(device, monkeypatch) -> None:
    judge, _ = device()
    judge._engine.bindings.fails = "cuGraphInstantiate"
    judge.warm_up([board_image(GREYS)])
    [note] = judge.notes
    assert note.startswith("batches run without CUDA graphs, which is slower: cuGraphInstantiate failed")


def test_joints_outside_the_frame_are_errors_and_the_others_judged(device, tmp_path) -> None:
    judge, _ = device(extra="J6,21,240,40,40,rect,,\n")
    host = recipe_judge(tmp_path, extra="J6,21,240,40,40,rect,,\n")
    frame = frame_of(board_image(GREYS, rigid(0, (-9, 0))))
    here, there = judge.judge(frame), host.judge(frame)
    assert [joint.verdict for joint in here.record.joints] == [joint.verdict for joint in there.record.joints]
    assert here.record.joints[-1].verdict is Verdict.ERROR


def test_frames_together_overlap_and_each_keeps_its_own_answer(device) -> None:
    judge, _ = device()
    frames = [
        frame_of(board_image({name: grey + 2 * number for name, grey in GREYS.items()}), number)
        for number in range(5)
    ]
    works = [judge.prepare(frame, judge.new_buffer()) for frame in frames]
    judge.infer(works)
    for number, work in enumerate(works):
        scores = [joint.score for joint in judge.decide(work).record.joints]
        assert scores == pytest.approx([score_of(grey + 2 * number) for grey in GREYS.values()], abs=1e-5)


def test_a_gpu_failure_gives_error_and_never_pass(device) -> None:
    judge, plan = device(graphs=False)
    plan.executions[1].fails = True
    frames = [frame_of(board_image({**GREYS, "J1": 40 + number}), number) for number in range(4)]
    works = [judge.prepare(frame, judge.new_buffer()) for frame in frames]
    judge.infer(works)
    records = [judge.decide(work).record for work in works]
    assert {record.verdict for record in records} == {Verdict.ERROR}
    assert all(work.fault is not None and work.fault.cause is Cause.ENGINE for work in works)
    plan.executions[1].fails = False
    again = judge.judge(frame_of(board_image(GREYS)))
    assert [joint.score for joint in again.record.joints] == pytest.approx(
        [score_of(grey) for grey in GREYS.values()], abs=1e-5
    )


def test_crops_stay_on_the_host_on_request(device) -> None:
    judge, _ = device(on_device=False)
    work = judge.prepare(frame_of(board_image(GREYS)), judge.own_buffer)
    assert len(work.crops) == len(PLACES)


def test_an_engine_of_other_classes_is_refused_at_once(device) -> None:
    judge, plan = device()
    plan.executions[0].compute = lambda crops: np.zeros((len(crops), 2))
    assert isinstance(judge, BoardJudge)
    with pytest.raises(EngineInputError, match="gives 2 classes"):
        BoardJudge(
            judge._engine,
            MODEL.__class__(("a", "b", "c"), 0, SPEC, "e" * 64),
            judge._layout,
            FakeClock(step_s=0.001),
            "run",
            on_device=True,
        )


def test_joint_that_nobody_can_see_is_an_error_although_only_the_device_has_its_crop(device) -> None:
    judge, _ = device()
    frame = board_image(dict.fromkeys(PLACES, 90))
    x, y = PLACES["J2"]
    frame[y - 20 : y + 21, x - 20 : x + 21] = 30
    record = judge.judge(frame_of(frame)).record
    found = {joint.refdes: (joint.verdict, joint.cause) for joint in record.joints}
    assert found.pop("J2") == (Verdict.ERROR, Cause.HIDDEN)
    assert set(found.values()) == {(Verdict.FAIL, "")}
