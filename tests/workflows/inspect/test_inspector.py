from contextlib import closing

import cv2
import numpy as np
import pytest
from support import tiny_bundle
from support.bright_model import PLACES, board_image, grey_patch, write_recipe
from support.host_device import PACKAGES, HostBindings, HostContext, HostPlan, host_cut

from sji_edge.core.errors import DataError, GateError, SourceError, UsageError
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.runtime.bundle.bundle import open_engine
from sji_edge.runtime.tensorrt import engine as tensorrt_engine
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine
from sji_edge.runtime.tensorrt.plan import LoadedPlan
from sji_edge.workflows.inspect import inspector
from sji_edge.workflows.inspect.inspector import Inspector


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    tiny_bundle.make_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    write_recipe(folder)
    return folder


class Pictures:
    """A source of our own, as a user writes one."""

    def __init__(self, *pictures):
        self.pictures = pictures
        self.closed = False

    def __iter__(self):
        for number, pixels in enumerate(self.pictures):
            yield Frame(number, f"picture{number}", 0, pixels)

    def close(self):
        self.closed = True


def score(level):
    good, bad = tiny_bundle.formula(np.full((1, tiny_bundle.SIDE, tiny_bundle.SIDE, 1), level, np.uint8))[0]
    return 1 / (1 + np.exp(good - bad))


def test_one_frame_is_judged_with_the_scores_of_the_formula(engines, recipe):
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        board = inspector.judge(board_image(dict.fromkeys(PLACES, 120)), name="first")
    assert board.frame_name == "first"
    assert [joint.refdes for joint in board.joints] == list(PLACES)
    assert [joint.score for joint in board.joints] == pytest.approx([score(120)] * 5, abs=1e-4)
    assert board.latency_ns["infer"] > 0


def test_the_same_frame_may_be_judged_again(engines, recipe):
    frame = board_image(dict.fromkeys(PLACES, 120))
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        first, second = inspector.judge(frame), inspector.judge(frame)
    assert first.verdict is not Verdict.ERROR
    assert (second.verdict, second.cause) == (first.verdict, first.cause)
    assert second.board != first.board


@pytest.mark.parametrize(
    "frame", [np.zeros((40, 40), np.float32), np.zeros((40, 40, 4), np.uint8), np.zeros(40, np.uint8)]
)
def test_a_frame_of_another_dtype_or_shape_is_refused(engines, frame):
    with Inspector(engines / "tiny") as inspector, pytest.raises(DataError, match="must be uint8"):
        inspector.judge(frame)


def test_a_stream_is_judged_into_sinks_and_an_own_source_stays_open(tmp_path, engines, recipe):
    source = Pictures(*(board_image(dict.fromkeys(PLACES, level)) for level in (60, 120, 180)))
    sink, boards = JsonlSink(tmp_path / "run.jsonl"), []
    with Inspector(engines=engines, recipe=recipe, threads=1) as inspector:
        summary = inspector.run(source, sinks=[sink], on_board=boards.append)
        alone = inspector.judge(source.pictures[1])
    sink.close()
    assert (summary.captured, summary.judged) == (3, 3)
    assert [board.frame_name for board in boards] == ["picture0", "picture1", "picture2"]
    assert [joint.score for joint in boards[1].joints] == [joint.score for joint in alone.joints]
    assert (tmp_path / "run.jsonl").read_text().count('"type": "board"') == 3
    assert not source.closed


@pytest.fixture
def on_gpu(engines, monkeypatch, kernel):
    """The bundle's model as TensorRT's engine, on a stand-in for the GPU; says which calls it got."""
    calls: list[str] = []

    class Noted(TensorRtEngine):
        def submit(self, crops):
            calls.append(f"{len(crops)} crops")
            return super().submit(crops)

        def submit_frame(self, frame, maps):
            calls.append("frame")
            return super().submit_frame(frame, maps)

    def opened(bundle, threads=0):
        cpu = open_engine(bundle, threads)
        plan = HostPlan(lambda crops: cpu.infer(crops).logits)
        monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", HostBindings)
        loaded = LoadedPlan(PACKAGES["10"], (), plan, cpu.spec, Profile(1, 8, cpu.spec.max_batch))
        return Noted(HostContext(host_cut(kernel, bundle.preprocess)), loaded)

    monkeypatch.setattr(inspector, "open_engine", opened)
    return calls


def test_a_gpu_gets_whole_frames_with_a_recipe_and_without_one_queued_pictures_together(
    engines, recipe, on_gpu
):
    board = board_image(dict.fromkeys(PLACES, 120))
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        on_gpu.clear()
        assert inspector.judge(board).verdict is not Verdict.ERROR
        assert inspector.run(Pictures(board, board + 1)).judged == 2
        assert on_gpu.count("frame") >= 3
    pictures = [grey_patch(60 + 5 * n, 20 + n) for n in range(12)]
    with Inspector(engines / "tiny") as inspector:
        on_gpu.clear()
        assert inspector.run(Pictures(*pictures)).judged == 12
        assert inspector.judge(pictures[0]).verdict is not Verdict.ERROR
        assert "frame" not in on_gpu


def test_frames_after_the_limit_are_left(engines, recipe):
    source = Pictures(*(board_image(dict.fromkeys(PLACES, level)) for level in (60, 120, 180)))
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        assert inspector.run(source, max_frames=2).captured == 2


def test_wrong_settings_and_streams_are_named(engines, tmp_path):
    with Inspector(engines / "tiny") as inspector:
        with pytest.raises(UsageError, match="takt ms must be more than 0"):
            inspector.run("frames/", takt_ms=-1.0)
        with pytest.raises(SourceError, match="no stream"):
            inspector.run(str(tmp_path / "gone"))


def test_the_engine_says_what_it_is_and_why_it_was_chosen(engines):
    with Inspector(engines=engines) as inspector:
        engine = inspector.engine
    assert (engine.name, engine.backend, engine.precision) == ("tiny", "onnxruntime", "fp32")
    assert "newest released" in engine.why
    assert engine.thresholds.lower == pytest.approx(0.4)


def test_a_folder_and_a_sink_are_named_by_path_or_by_text(engines, recipe, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "a.png"), board_image(dict.fromkeys(PLACES, 120)))
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        for name, source in (("one.jsonl", frames), ("two.jsonl", str(frames))):
            with closing(JsonlSink(str(tmp_path / name))) as sink:
                assert inspector.run(source, sinks=[sink]).captured == 1
            assert '"a.png"' in (tmp_path / name).read_text()


def test_what_a_folder_leaves_out_is_in_the_summary_and_strict_refuses_it(engines, recipe, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), board_image(dict.fromkeys(PLACES, 120)))
    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        assert inspector.run(tmp_path, strict=True).left_out == ()
        (tmp_path / "b.heic").write_bytes(b"x")
        assert [str(one) for one in inspector.run(tmp_path).left_out] == ["1 .heic file (b.heic)"]
        with pytest.raises(GateError, match=r"left out: 1 \.heic file"):
            inspector.run(tmp_path, strict=True)


def test_sub_folders_that_appear_in_a_watched_folder_are_left_out_of_the_summary(engines, recipe, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), board_image(dict.fromkeys(PLACES, 120)))

    def add_folder(_board):
        (tmp_path / "later").mkdir()

    with Inspector(engines / "tiny", recipe=recipe) as inspector:
        source = f"{tmp_path}?watch=1&settle=0.02"
        summary = inspector.run(source, max_frames=1, on_board=add_folder)
    assert [str(one) for one in summary.left_out] == ["1 sub-folder (later)"]


@pytest.mark.parametrize("depth", [8, 17])
def test_a_bit_depth_that_16_bit_samples_cannot_have_is_refused(engines, depth):
    with pytest.raises(UsageError, match=f"must be 9 to 16 .got {depth}."):
        Inspector(engines / "tiny", bit_depth=depth)
