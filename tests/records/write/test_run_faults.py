"""The whole command with a disk that is full, and with a database that another process holds."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.board_records import record, rows

from sji_edge.records.write.sqlite import SqliteSink

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def start(kill_nine, words, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", kill_nine.START, *words, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )


def names_in(lines: list[bytes]) -> list[str]:
    return [line.split()[1].decode() for line in lines if b"residual" in line]


def assert_all_is_on_record(kill_nine, output: Path, shown: list[bytes]) -> None:
    [lines] = output.glob("*.jsonl")
    cycle = kill_nine.examine(output / "inspections.db", lines, names_in(shown))
    assert cycle.faults == []
    assert cycle.shown >= 1


@pytest.mark.parametrize(("reserve_mb", "said"), [("0", "cannot record board"), ("0.7", "nearly full")])
def test_a_disk_that_is_full_ends_the_run_with_all_it_reported_on_record(
    kill_nine, small_disk, tmp_path, reserve_mb, said
):
    words = kill_nine.prepare(tmp_path)
    with start(kill_nine, words, "--output", str(small_disk), "--reserve-mb", reserve_mb) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 7, err
    assert said in err.decode()
    assert_all_is_on_record(kill_nine, small_disk, out.splitlines())
    left = os.statvfs(small_disk)
    free = left.f_bavail * left.f_frsize
    assert free > 100_000 if reserve_mb != "0" else free < 100_000


@pytest.mark.parametrize(("reserve_mb", "said"), [("0", "cannot write"), ("0.7", "nearly full")])
def test_a_full_disk_of_pictures_ends_the_run_and_costs_no_record(
    kill_nine, small_disk, tmp_path, reserve_mb, said
):
    words = kill_nine.prepare(tmp_path)
    with start(kill_nine, words, "--save-images", str(small_disk), "--reserve-mb", reserve_mb) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 7, err
    assert said in err.decode()
    assert str(small_disk) in err.decode()
    assert "hint: " in err.decode()
    assert "another disk" in err.decode()
    assert_all_is_on_record(kill_nine, tmp_path / "out", out.splitlines())
    recorded = rows(tmp_path / "out" / "inspections.db", "SELECT frame_name FROM boards ORDER BY id")
    assert names_in(out.splitlines()) == [name for (name,) in recorded]


def test_a_quota_keeps_pictures_off_the_full_disk(kill_nine, small_disk, tmp_path):
    words = kill_nine.prepare(tmp_path)
    more = ("--save-images", str(small_disk), "--quota-mb", "1", "--max-frames", "150", "--reserve-mb", "0")
    with start(kill_nine, words, *more) as child:
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    sizes = [path.stat().st_size for path in small_disk.glob("*.jpg")]
    assert 0.8e6 < sum(sizes) <= 1e6
    assert rows(tmp_path / "out" / "inspections.db", "SELECT count(*) FROM boards") == [(150,)]


@pytest.mark.slow
def test_a_database_that_another_process_keeps_ends_the_run_with_all_it_reported_on_record(
    kill_nine, tmp_path
):
    words, output = kill_nine.prepare(tmp_path), tmp_path / "out"
    with start(kill_nine, words) as child:
        head = next(line for line in child.stdout if b"residual" in line)
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(output / "inspections.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout.readline() == b"held\n"
            held = time.monotonic()
            rest, err = child.stdout.read().splitlines(), child.stderr.read()
            child.wait(30)
            waited = time.monotonic() - held
            holder.stdin.close()
    assert child.returncode == 7, err
    assert b"another process kept the database locked for 5 s" in err
    assert b"hint: end the process that writes to it" in err
    assert 3 < waited < 20
    assert_all_is_on_record(kill_nine, output, [head, *rest])


def test_a_database_that_another_process_gives_back_in_time_is_written(tmp_path):
    path = tmp_path / "inspections.db"
    with (
        closing(SqliteSink(path)) as sink,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
        release.start()
        begun = time.monotonic()
        sink.write(record(0))
        waited = time.monotonic() - begun
        release.join()
    assert waited > 0.2
    assert rows(path, "SELECT frame_index FROM boards") == [(0,)]
