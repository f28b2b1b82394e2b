import io
import json
import re
import time
from dataclasses import replace

import cv2
import pytest
from rich.console import Console
from rich.text import Text
from support import tiny_bundle
from support.bright_model import grey_patch
from support.infer_command import run

from sji_edge.cli.background_output import BackgroundOutput
from sji_edge.cli.main import run as main_run
from sji_edge.cli.render.inference import board_line, cause_lines, interrupted_line
from sji_edge.cli.render.live import RunScreen
from sji_edge.cli.run_output import RunOutput
from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.left_out import LeftOut
from sji_edge.core.protocols import BoardRecord, JointRecord, UnitRecord
from sji_edge.core.verdict import VERDICTS, Thresholds, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.observe.status_formats import status_line
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.records import SINKS
from sji_edge.runtime.bundle.bundle import open_bundle, open_engine
from sji_edge.workflows.engines.golden_check import GoldenReplay, replay_golden
from sji_edge.workflows.inspect.request import EngineFacts, RunPaths, RunResult


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    tiny_bundle.make_bundle(folder)
    return folder


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    for number in range(6):
        cv2.imwrite(str(folder / f"pad{number}.png"), grey_patch(30 * number + 40, 50, 60))
    return folder


def test_engine_is_named_with_the_reason_for_it(tmp_path, crops, engines):
    done = run("--stream", crops, "--engine", engines / "tiny", "--output", tmp_path / "out")
    assert "engine tiny (onnxruntime fp32), as named; PASS below 0.400, FAIL from 0.600" in done.output


def test_golden_crops_are_replayed_before_the_first_board(tmp_path, crops, engines):
    words = ("--stream", crops, "--engine", engines / "tiny", "--output", tmp_path / "out")
    done = run(*words, "--replay-golden")
    assert done.exit_code == 0
    assert "golden crops replayed: 0 flips in 40 crops, gate passed" in done.output


def test_engine_that_decides_otherwise_here_does_not_judge(tmp_path, engines):
    other = tiny_bundle.write_graph(tmp_path / "other.onnx", head=-tiny_bundle.HEAD)
    bundle = open_bundle(engines / "tiny")
    backend = tiny_bundle.BACKENDS.get("onnxruntime")()
    engine = backend.open(other, precision="fp32", max_batch=16, threads=1)
    with pytest.raises(GateError, match="does not decide like PyTorch") as caught:
        replay_golden(bundle, engine, batch=7)
    assert caught.value.exit_code == 3
    assert replay_golden(bundle, open_engine(bundle, 1), batch=7) == GoldenReplay(crops=40, flips=0)


def test_shadow_replays_its_share_and_says_so(tmp_path, crops, engines):
    words = ("--stream", crops, "--engine", engines / "tiny", "--output", tmp_path / "out")
    done = run(*words, "--shadow", "1/2", "--metrics-port", 0)
    assert done.exit_code == 0, done.output
    # Half of six, plus or minus one.
    assert re.search(r"shadow: [234] crops replayed, 0 skipped; 0 verdicts differ", done.output), done.output
    assert "metrics: http://127.0.0.1:" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shadow", "2"), "shadow"),
        (("--policy", "some"), "policy"),
        (("--takt-ms", "-3"), "--takt-ms"),
        (("--engine-timeout-s", "0"), "--engine-timeout-s"),
    ],
)
def test_wrong_setting_is_a_usage_error_before_anything_is_opened(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        run("--stream", tmp_path / "none", *words)


def test_late_verdicts_are_errors_on_record_and_a_run_of_them_fails(tmp_path, crops, engines, capsys):
    words = ("--stream", crops, "--engine", engines / "tiny", "--output", tmp_path / "out")
    with pytest.raises(SystemExit) as stop:
        main_run(["infer", *map(str, words), "--takt-ms", "0.000001", "--low-latency"])
    assert stop.value.code == 3
    shown = capsys.readouterr()
    assert "ERROR late: 6 boards" in shown.out
    assert "no joint was judged: 6 of 6 boards are ERROR late; the first: pad0.png: " in shown.err
    assert "hint: raise the takt" in shown.err
    lines = next((tmp_path / "out").glob("*.jsonl")).read_text().splitlines()
    assert {json.loads(line)["verdict"] for line in lines} == {"ERROR"}


def summary():
    counts = dict.fromkeys(VERDICTS, 1)
    return RunSummary(4, 4, counts, counts, {}, 2.0, 2.0, {}, (), {}, {})


def test_frames_without_a_record_are_counted_separately_from_error_boards():
    shown = replace(
        summary(),
        errors={Cause.BLACK: 1, Cause.DISPLACED: 3, Cause.NOT_RECORDED: 3},
        unrecorded={Cause.DISPLACED: 3, Cause.NOT_RECORDED: 1},
    )
    assert [Text.from_markup(line).plain for line in cause_lines(shown)] == [
        "ERROR black: 1 board",
        "not judged, displaced: 3 frames, not on record",
        "ERROR not-recorded: 2 boards",
        "not judged, not-recorded: 1 frame, not on record",
    ]


def screen_of(stream, **options):
    """A run's screen that writes to a stream."""
    output = RunOutput()
    output.out = BackgroundOutput(stream, on_failure=lambda reason: None)
    output.console = Console(file=output.out, force_terminal=options.pop("terminal", False), width=100)
    return RunScreen(output, **options), output


def result_of(tmp_path):
    engine = EngineFacts(
        "tiny", "onnxruntime", "fp32", "0" * 64, Thresholds(lower=0.4, upper=0.6), "as named", ()
    )
    return RunResult(summary(), None, engine, RunPaths("run", tmp_path), stopped=False)


def test_terminal_gets_one_screen_and_then_the_closing_tables(tmp_path):
    stream = io.StringIO()
    screen, output = screen_of(stream, terminal=True)
    screen.begun(lambda: (summary(), None))
    screen.ended(result_of(tmp_path))
    output.close()
    assert "Ctrl-C ends the run" in stream.getvalue()
    assert "4 frames, 4 judged" in stream.getvalue()
    assert "records: " in stream.getvalue()


def test_elsewhere_a_status_line_comes_every_so_often(tmp_path, capsys):
    screen, output = screen_of(io.StringIO(), status_s=0.01)
    screen.begun(lambda: (summary(), None))
    time.sleep(0.1)
    screen.ended(result_of(tmp_path))
    output.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert {json.loads(line)["captured"] for line in lines} == {4}


def test_the_status_line_counts_what_the_stream_leaves_out():
    found = (LeftOut(what=".heic files", count=2, examples=("a.heic", "b.heic")),)
    assert json.loads(status_line(replace(summary(), left_out=found)))["left_out"] == [
        {"what": ".heic files", "count": 2, "examples": ["a.heic", "b.heic"]}
    ]


@pytest.mark.parametrize(
    ("unrecorded", "said"),
    [
        ({}, "interrupted: 4 boards on record; no captured frame is missing"),
        (
            {Cause.DISPLACED: 3, Cause.ABANDONED: 1},
            "interrupted: 4 boards on record; 4 frames not judged and not on record (3 displaced, 1 abandoned)",
        ),
    ],
)
def test_an_interrupted_run_says_exactly_what_is_on_record(unrecorded, said):
    assert interrupted_line(replace(summary(), errors=unrecorded, unrecorded=unrecorded)) == said


def test_a_boards_counts_stand_in_the_order_of_verdicts():
    order = ("FAIL", "PASS", "ERROR", "REVIEW", "PASS")
    joints = tuple(
        JointRecord(f"J{number}", Verdict(name), None if name == "ERROR" else 0.5, 0.3, 0.6)
        for number, name in enumerate(order)
    )
    record = BoardRecord("run-0", 0, "a.png", "2025-01-31T08:09:10+00:00", Verdict.ERROR, joints, "", "")
    assert board_line(record) == "ERROR  a.png  2 PASS, 1 REVIEW, 1 FAIL, 1 ERROR"


def test_a_boards_line_says_its_serial_number_and_the_units_that_did_not_pass():
    units = (UnitRecord("U1", Verdict.PASS), UnitRecord("U2", Verdict.FAIL), UnitRecord("U3", None))
    joints = (JointRecord("U2/R1", Verdict.FAIL, 0.9, 0.3, 0.6),)
    record = BoardRecord("run-0", 0, "a.png", "2025-01-31T08:09:10+00:00", Verdict.FAIL, joints, "", "")
    record = replace(record, serial="P7", retest=2, units=units)
    said = "FAIL   a.png  P7 (seen before, 2 times)  1 FAIL; U2 FAIL, U3 skipped"
    assert board_line(record) == said


def test_a_named_sink_gets_every_record_and_its_own_path(tmp_path, crops, engines, monkeypatch):
    class Names:
        def __init__(self, path):
            self.file = path.open("x")

        def write(self, record):
            self.file.write(f"{record.frame_name} {record.verdict}\n")

        def close(self):
            self.file.close()

    monkeypatch.setitem(SINKS._entries, "names", Names)
    words = ("--stream", crops, "--engine", engines / "tiny", "--output", tmp_path / "out")
    run(*words, "--sink", "names")
    (written,) = (tmp_path / "out").glob("*.names")
    lines = written.read_text().splitlines()
    assert [line.split()[0] for line in lines] == [f"pad{number}.png" for number in range(6)]
    with pytest.raises(UsageError, match="unknown sink 'name'"):
        run(*words, "--sink", "name")
