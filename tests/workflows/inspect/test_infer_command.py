import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing

import cv2
import numpy as np
import pytest
from support import tiny_bundle
from support.bright_model import PLACES, board_image, grey_patch, write_recipe
from support.infer_command import run
from typer.testing import CliRunner

from sji_edge.cli.commands.inspections import inspections
from sji_edge.core.errors import GateError, OutputError, RecipeError, SjiError, SourceError, UsageError
from sji_edge.core.text import amount


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make_bundle(tmp_path_factory.mktemp("engines")).folder


@pytest.fixture
def boards(tmp_path):
    folder = tmp_path / "boards"
    write_recipe(folder)
    for number in range(3):
        cv2.imwrite(str(folder / f"board{number}.png"), board_image(dict.fromkeys(PLACES, 60 + 60 * number)))
    cv2.imwrite(str(folder / "golden.png"), board_image({}))
    return folder


def boards_in(output):
    with closing(sqlite3.connect(output / "inspections.db")) as connection:
        return connection.execute("SELECT frame_name FROM boards ORDER BY id").fetchall()


def test_judges_the_frames_of_a_recipes_own_folder_but_not_its_golden_image(tmp_path, boards, bundle):
    output, pictures = tmp_path / "out", tmp_path / "pictures"
    for _ in range(2):
        done = run(
            *("--stream", boards, "--recipe", boards, "--engine", bundle),
            *("--output", output, "--threads", 1, "--save-images", pictures),
        )
        assert done.exit_code == 0, done.output
    assert boards_in(output) == [("board0.png",), ("board1.png",), ("board2.png",)] * 2
    assert len(list(output.glob("*.jsonl"))) == 2
    with closing(sqlite3.connect(output / "inspections.db")) as connection:
        packages = connection.execute(
            "SELECT refdes, package FROM packages WHERE recipe_sha256 = (SELECT max(recipe_sha256) FROM boards)"
        ).fetchall()
    assert packages == [(name, "rect") for name in sorted(PLACES)]
    names = [path.name for path in pictures.glob("*.jpg")]
    assert len(names) == 6
    assert sorted(name.partition("_")[2] for name in names) == [
        f"board{number}.png.jpg" for number in (0, 0, 1, 1, 2, 2)
    ]
    assert "inspections.db" in done.output
    assert "3 frames, 3 judged" in done.output


def test_scores_are_those_of_the_models_formula(tmp_path, boards, bundle):
    run("--stream", boards, "--recipe", boards, "--engine", bundle, "--output", tmp_path / "out")
    lines = next((tmp_path / "out").glob("*.jsonl")).read_text().splitlines()
    joints = [json.loads(line) for line in lines if '"type": "joint"' in line]
    assert len(joints) == 15
    for number in range(3):
        crop = grey_patch(60 + 60 * number, tiny_bundle.SIDE)[None, :, :, None]
        good, bad = tiny_bundle.formula(crop)[0]
        wanted = 1 / (1 + np.exp(good - bad))
        scores = [joint["score"] for joint in joints if joint["frame"] == f"board{number}.png"]
        assert scores == pytest.approx([wanted] * 5, abs=1e-4)


def test_without_a_recipe_each_image_is_one_joint(tmp_path, bundle):
    folder = tmp_path / "crops"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"pad{number}.png"), grey_patch(50 * number + 40, 50, 60))
    (folder / "pad9.png").write_bytes(b"")
    done = run("--stream", folder, "--engine", bundle, "--output", tmp_path / "out", "--max-frames", 5)
    assert done.exit_code == 0
    assert "ERROR unreadable: 1 board" in done.output
    assert len(boards_in(tmp_path / "out")) == 5


def test_newest_released_engine_is_the_default(tmp_path, boards, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no released engine"):
        run("--stream", boards, "--recipe", boards)
    tiny_bundle.make_bundle(tmp_path / "engines")
    assert run("--stream", boards, "--recipe", boards).exit_code == 0
    assert len(boards_in(tmp_path / "inspections")) == 3


def test_faults_are_reported_before_anything_is_written(tmp_path, boards, bundle):
    output = tmp_path / "out"
    common = ("--engine", bundle, "--output", output)
    with pytest.raises(SourceError):
        run("--stream", tmp_path / "none", *common)
    with pytest.raises(RecipeError):
        run("--stream", boards, "--recipe", tmp_path, *common)
    altered = tmp_path / "altered"
    altered.mkdir()
    for path in bundle.iterdir():
        data = bytearray(path.read_bytes())
        if path.name == "engine.onnx":
            data[len(data) // 2] ^= 1
        (altered / path.name).write_bytes(bytes(data))
    with pytest.raises(SjiError, match="altered"):
        run("--stream", boards, "--engine", altered, "--output", output)
    assert not output.exists()


def test_engine_without_a_parity_record_is_refused(tmp_path, boards, bundle):
    copy = tmp_path / "engine"
    copy.mkdir()
    for path in bundle.iterdir():
        if path.name != "parity.json":
            (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(GateError):
        run("--stream", boards, "--engine", copy, "--output", tmp_path / "out")


def test_output_that_is_no_folder_is_an_output_error(tmp_path, boards, bundle):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        run("--stream", boards, "--engine", bundle, "--output", tmp_path / "file")


ENDLESS = """
    import sys
    from sji_edge.streams.files.folder import FolderSource
    import dataclasses, itertools, time
    once = FolderSource.__iter__
    def again_and_again(self):
        numbers = itertools.count()
        while True:
            time.sleep(0.02)
            for frame in once(self):
                yield dataclasses.replace(frame, index=next(numbers))
    FolderSource.__iter__ = again_and_again
    from sji_edge.cli.main import run
    run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_run_with_all_it_reported_on_record(tmp_path, boards, bundle, number):
    words = [
        "infer",
        "--stream",
        boards,
        "--recipe",
        boards,
        "--engine",
        bundle,
        "--output",
        tmp_path / "out",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as child:
        first = next(line for line in child.stdout if "residual" in line)
        os.kill(child.pid, number)
        # Not communicate(): it would pass by the lines that the pipe's reader has read ahead.
        out, err = child.stdout.read(), child.stderr.read()
        child.wait(30)
    assert child.returncode == 130, err
    kept = boards_in(tmp_path / "out")
    said = [line for line in err.splitlines() if "interrupted" in line]
    assert said == [f"interrupted: {amount(len(kept), 'board')} on record; no captured frame is missing"]
    reported = [line for line in [first, *out.splitlines()] if "residual" in line]
    assert 1 <= len(reported) == len(kept)


def test_source_that_knows_its_board_needs_no_recipe(tmp_path, bundle):
    output = tmp_path / "out"
    stream = "synthetic://?joints=4&frames=2&seed=3"
    done = run("--stream", stream, "--engine", bundle, "--output", output, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert boards_in(output) == [("synthetic-3-0000#000000",), ("synthetic-3-0001#000001",)]
    with closing(sqlite3.connect(output / "inspections.db")) as connection:
        residuals = connection.execute("SELECT alignment_residual_px FROM boards").fetchall()
    assert all(residual < 0.5 for (residual,) in residuals)


def test_watched_folder_ignores_what_was_there_on_request(tmp_path, boards, bundle):
    frames, output = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    (boards / "board0.png").rename(frames / "old.png")
    arrival = threading.Timer(1.0, lambda: (boards / "board1.png").rename(frames / "new.png"))
    arrival.start()
    done = run(
        *("--stream", f"{frames}?watch=1&settle=0.05", "--ignore-existing", "--recipe", boards),
        *("--engine", bundle, "--output", output, "--threads", 1, "--max-frames", 1),
    )
    arrival.join()
    assert done.exit_code == 0, done.output
    assert boards_in(output) == [("new.png",)]


HANGING = """
    import time
    from sji_edge.records.write.jsonl import JsonlSink
    def hang(self, record):
        print("hanging", flush=True)
        while True:
            time.sleep(0.1)
    JsonlSink.write = hang
    from sji_edge.cli.main import run
    run()
"""


def test_second_signal_stops_at_once_and_keeps_what_is_on_record(tmp_path, boards, bundle):
    words = [
        "infer",
        "--stream",
        boards,
        "--recipe",
        boards,
        "--engine",
        bundle,
        "--output",
        tmp_path / "out",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HANGING), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        next(line for line in child.stdout if "hanging" in line)
        os.kill(child.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        os.kill(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 130, err
    # The first sink had the board when the second one hung.
    assert boards_in(tmp_path / "out") == [("board0.png",)]


def test_the_alarm_names_the_database_of_its_own_run(tmp_path, boards, bundle):
    output, table = tmp_path / "out put", boards / "joints.csv"
    table.write_text(table.read_text().replace("J3,200,330,40,40,rect,,", "J3,200,330,40,40,rect,0.1,0.2"))
    with pytest.raises(GateError, match="J3 failed on 1 board in a row") as alarm:
        run(
            *("--stream", boards, "--recipe", boards, "--engine", bundle),
            *("--output", output, "--threads", 1, "--stop-on", 1),
        )
    words = shlex.split(alarm.value.hint.partition(": sji-edge ")[2])
    assert words[0] == "inspections"
    listed = json.loads(CliRunner().invoke(inspections, [*words[1:], "--json"]).output)
    assert {(row["refdes"], row["verdict"]) for row in listed} == {("J3", "FAIL")}


def test_a_quota_without_a_folder_of_pictures_is_a_usage_error(tmp_path, boards, bundle):
    with pytest.raises(UsageError, match="this run keeps no pictures") as refused:
        run("--stream", boards, "--engine", bundle, "--output", tmp_path / "out", "--quota-mb", 5)
    assert "folder for images, boards, crops or a pool" in refused.value.hint
    assert not (tmp_path / "out").exists()


def test_a_picture_larger_than_the_quota_is_reported_once(tmp_path, boards, bundle):
    pictures = tmp_path / "pictures"
    done = run(
        *("--stream", boards, "--recipe", boards, "--engine", bundle, "--output", tmp_path / "out"),
        *("--save-images", pictures, "--quota-mb", 0.002),
    )
    assert done.exit_code == 0
    assert not list(pictures.glob("*.jpg"))
    [warning] = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert f"{pictures}/" in warning
    assert "_board0.png.jpg is not kept: " in warning
    assert "exceed the folder's quota of 0.002 MB; raise the picture quota" in warning


def test_files_left_out_of_a_stream_are_reported_at_the_start_and_in_the_closing_summary(
    tmp_path, boards, bundle
):
    (boards / "more").mkdir()
    (boards / "board9.jp2").write_bytes(b"x")
    words = ("--stream", boards, "--recipe", boards, "--engine", bundle, "--output", tmp_path / "out")
    said = "left out: 1 .jp2 file (board9.jp2), 1 sub-folder (more)"
    done = run(*words)
    assert done.output.count(said) == 2
    assert done.output.index(said) < done.output.index("board0.png")
    with pytest.raises(GateError, match=r"1 \.jp2 file \(board9\.jp2\), 1 sub-folder \(more\)"):
        run(*words[:-1], tmp_path / "strict", "--strict")
    assert not (tmp_path / "strict").exists()


def test_frames_and_golden_image_of_a_12_bit_camera_need_the_bit_depth(tmp_path, boards, bundle):
    for path in boards.glob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16)
    words = ("--stream", boards, "--recipe", boards, "--engine", bundle, "--output", tmp_path / "out")
    with pytest.raises(RecipeError, match="set the bit depth to 12"):
        run(*words)
    done = run(*words, "--bit-depth", 12)
    assert "3 frames, 3 judged" in done.output


def test_a_file_far_larger_than_the_recipes_frame_is_not_decoded(tmp_path, boards, bundle):
    height, width = cv2.imread(str(boards / "golden.png"), cv2.IMREAD_UNCHANGED).shape[:2]
    cv2.imwrite(str(boards / "board1.png"), np.full((2 * height, 2 * width), 99, np.uint8))
    cv2.imwrite(str(boards / "board2.png"), np.full((2 * height + 1, 2 * width), 99, np.uint8))
    done = run("--stream", boards, "--recipe", boards, "--engine", bundle, "--output", tmp_path / "out")
    assert "ERROR  board1.png  wrong-size" in done.output
    assert (
        f"ERROR  board2.png  unreadable: {boards / 'board2.png'} has {2 * width}x{2 * height + 1} pixels"
        in (done.output)
    )
