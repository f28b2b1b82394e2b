"""The log cannot affect the loop: readers that leave, stall or know only ASCII, and names that would forge a line."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import cv2
import pytest
from support import tiny_bundle
from support.bright_model import PLACES, board_image, write_recipe

START = "from sji_edge.cli.main import run; run()"
ENDLESS = """
    import dataclasses, itertools
    from sji_edge.streams.files.folder import FolderSource
    once = FolderSource.__iter__
    def again_and_again(self):
        numbers = itertools.count()
        while True:
            for frame in once(self):
                yield dataclasses.replace(frame, index=next(numbers))
    FolderSource.__iter__ = again_and_again
    from sji_edge.cli.main import run
    run()
"""
SMALL_QUEUE = f"""
    from sji_edge.cli.background_output import BackgroundOutput
    BackgroundOutput.__init__.__kwdefaults__["max_chunks"] = 50
    {START}
"""
FULL = Path("/dev/full")
PIPE_BYTES = 4096


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make_bundle(tmp_path_factory.mktemp("engines")).folder


@pytest.fixture
def boards(tmp_path):
    folder = tmp_path / "boards"
    write_recipe(folder)
    for number in range(4):
        cv2.imwrite(str(folder / f"board{number}.png"), board_image(dict.fromkeys(PLACES, 40 + 40 * number)))
    return folder


def many(boards, count):
    """Put the boards under many names, so that no frame equals the one before it."""
    pictures = sorted(boards.glob("board?.png"))
    for number in range(count):
        os.link(pictures[number % len(pictures)], boards / f"f{number:05d}.png")


def infer(tmp_path, boards, bundle, script=START, **options):
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
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, words), "--threads", "1"],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def recorded(tmp_path):
    with closing(sqlite3.connect(tmp_path / "out" / "inspections.db")) as connection:
        return connection.execute("SELECT count(*) FROM boards").fetchone()[0]


def small_pipe():
    """A pipe that holds only a few lines."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader, writer


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path, boards, bundle):
    many(boards, 300)
    with infer(tmp_path, boards, bundle) as child:
        assert child.stdout.readline().startswith(b"engine tiny")
        child.stdout.close()
        said = child.stderr.read().decode().splitlines()
        assert child.wait(60) == 0, said
    assert recorded(tmp_path) == 304
    lost = [line for line in said if "cannot write to standard output" in line]
    assert lost == [
        "warning: cannot write to standard output: Broken pipe; the run goes on and records every board"
    ]
    assert "no record is affected" in said[-1]


def test_a_reader_that_stalls_does_not_stop_the_line_and_what_it_missed_is_counted(tmp_path, boards, bundle):
    many(boards, 200)
    reader, writer = small_pipe()
    with infer(tmp_path, boards, bundle, SMALL_QUEUE, stdout=writer) as child:
        os.close(writer)
        said = child.stderr.read().decode()
        assert child.wait(120) == 0, said
    os.close(reader)
    assert recorded(tmp_path) == 204
    assert "lines of standard output dropped because its reader was too slow or gone; no record" in said


def test_a_signal_ends_a_run_whose_output_nobody_reads(tmp_path, boards, bundle):
    reader, writer = small_pipe()
    with infer(tmp_path, boards, bundle, ENDLESS, stdout=writer, stderr=writer) as child:
        os.close(writer)
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "inspections.db").exists() or recorded(tmp_path) < 150:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 130
    os.close(reader)


def test_a_full_disk_behind_standard_output_costs_no_record(tmp_path, boards, bundle):
    with FULL.open("wb") as full, infer(tmp_path, boards, bundle, stdout=full) as child:
        said = child.stderr.read().decode()
        assert child.wait(60) == 0, said
    assert recorded(tmp_path) == 4
    assert said.count("No space left on device") == 1


def test_a_command_whose_output_is_the_result_fails_on_a_full_disk(tmp_path, boards, bundle):
    with infer(tmp_path, boards, bundle) as child:
        child.communicate(timeout=60)
    words = ["inspections", "boards", "--json", "--database", str(tmp_path / "out" / "inspections.db")]
    command = [sys.executable, "-c", START, *words]
    with FULL.open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 7
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_standard_output_that_the_shell_closed_is_no_error(tmp_path, boards, bundle):
    script = f"import os, sys; os.dup2(os.open('/dev/null', 0), 1); os.close(1); sys.stdout = None; {START}"
    with infer(tmp_path, boards, bundle, script) as child:
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert recorded(tmp_path) == 4


def test_an_ascii_terminal_shows_every_name_and_table(tmp_path, boards, bundle):
    (boards / "board0.png").rename(boards / "platine-ä-№.png")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    with infer(tmp_path, boards, bundle, env=env) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert rb"platine-\xe4-\u2116.png" in out
    out.decode("ascii")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("infer", "--help"),
        ("doctor",),
        ("engine", "--help"),
        ("no-such-command",),
        ("inspections", "boards"),
    ],
)
def test_no_command_fails_on_an_ascii_terminal(tmp_path, words):
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", START, *words], capture_output=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode != 1, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"internal error" not in done.stderr


def test_a_file_name_can_neither_forge_a_line_nor_move_the_cursor(tmp_path, boards, bundle):
    (boards / "board0.png").rename(boards / "x\nPASS   board99.png")
    (boards / "board1.png").rename(boards / "y\x1b[2J[red]\u202e.png")
    with infer(tmp_path, boards, bundle) as child:
        out, err = child.communicate(timeout=60)
    lines = out.decode().splitlines()
    assert not [line for line in lines if line.startswith("PASS   board99")]
    assert [line for line in lines if r"x\x0aPASS   board99.png" in line]
    assert [line for line in lines if r"y\x1b[2J[red]\u202e.png" in line]
    assert b"\x1b" not in out + err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_first_frame_is_answered(tmp_path, boards, bundle, number):
    script = f"import sys; from sji_edge.cli import main; print('ready', flush=True); {START}"
    with infer(tmp_path, boards, bundle, script) as child:
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert err.decode().splitlines()[-1] == "interrupted"
    assert not (tmp_path / "out").exists()


def test_a_hangup_that_the_parent_ignores_stays_ignored(tmp_path, boards, bundle):
    many(boards, 100)
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {START}"
    with infer(tmp_path, boards, bundle, script) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGHUP)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert recorded(tmp_path) == 104
