import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.pool_material import ENGINE, OTHER, UTC, judged, new_crop, origin, picture

from sji_edge.core.errors import OutputError
from sji_edge.pool.read import PoolReader
from sji_edge.pool.write import PoolWriter


def test_a_crop_comes_back_with_its_picture_and_provenance(tmp_path):
    crop = new_crop("J1", judged(0.7, novelty=1.5), seed=3)
    with PoolWriter(tmp_path / "pool") as pool:
        assert pool.add(origin("SN1"), [crop]) == [1]
    with PoolReader(tmp_path / "pool") as reader:
        found = reader.get(1)
        assert reader.picture(found).read_bytes() == crop.png
    assert (found.refdes, found.package, found.box, found.margin) == ("J1", "bar", crop.box, 0.5)
    assert found.origin == origin("SN1")
    assert found.sha256 == hashlib.sha256(crop.png).hexdigest()
    assert found.size == len(crop.png)
    assert found.judged == crop.judged[0]


def test_the_same_frame_twice_adds_nothing(tmp_path):
    with PoolWriter(tmp_path) as pool:
        pool.add(origin("SN1"), [new_crop("J1")])
        size = pool.size
        assert pool.add(origin("SN1"), [new_crop("J1", seed=9), new_crop("J2")]) == [2]
        assert pool.size == 2 * size
    with PoolReader(tmp_path) as reader:
        assert reader.picture(reader.get(1)).read_bytes() == picture(0)


def test_a_second_inspection_of_a_frame_adds_its_record_and_judgement(tmp_path):
    with PoolWriter(tmp_path) as pool:
        pool.add(origin("SN1"), [new_crop("J1", judged(0.2))], record="run1-0")
        pool.add(origin("SN1"), [new_crop("J1", judged(0.9, OTHER))], record="run2-0")
    with PoolReader(tmp_path, ENGINE) as reader:
        assert reader.seen("run1-0", "J1").id == reader.seen("run2-0", "J1").id == 1
        assert reader.seen("run1-0", "J9") is None
        assert reader.engines() == {ENGINE: 1, OTHER: 1}


@pytest.mark.parametrize("table", ["crops", "sightings", "judgements"])
@pytest.mark.parametrize("change", ["UPDATE {} SET crop_id = 1", "DELETE FROM {}"])
def test_no_row_can_be_changed_or_deleted(tmp_path, table, change):
    with PoolWriter(tmp_path) as pool:
        pool.add(origin(), [new_crop("J1", judged(0.5))], record="run-0")
    text = change.format(table).replace("crop_id = 1", "refdes = 'x'" if table == "crops" else "crop_id = 1")
    database = closing(sqlite3.connect(tmp_path / "pool.db"))
    with database as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(text)


def test_a_frame_whose_picture_cannot_be_written_leaves_no_row(tmp_path):
    with PoolWriter(tmp_path) as pool:
        shard = tmp_path / "crops" / origin("SN1").frame_sha256[:2]
        shard.write_text("in the way")
        with pytest.raises(OutputError, match="cannot write"):
            pool.add(origin("SN1"), [new_crop("J1")])
        assert pool.size == 0


def test_names_that_are_no_file_names_stay_apart_and_inside_the_pool(tmp_path):
    names = ["../../etc", "a/b", "a+b", "a b", "ä" * 150, "ä" * 151]
    with PoolWriter(tmp_path) as pool:
        assert len(pool.add(origin(), [new_crop(name) for name in names])) == len(names)
    with PoolReader(tmp_path) as reader:
        paths = [reader.picture(crop) for crop in reader.every()]
    assert len(set(paths)) == len(names)
    assert all(path.is_file() and path.resolve().is_relative_to(tmp_path / "crops") for path in paths)


def test_a_newer_schema_is_refused(tmp_path):
    PoolWriter(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "pool.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match=r"schema 99; this version of sji-edge knows schemas 1 to 1"):
        PoolWriter(tmp_path)


def test_another_programs_database_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "pool.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    with pytest.raises(OutputError, match="is not the database of a pool"):
        PoolWriter(tmp_path)


def test_tables_of_others_in_the_pool_do_not_disturb(tmp_path):
    PoolWriter(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "pool.db")) as connection:
        connection.execute("CREATE TABLE decisions (id INTEGER PRIMARY KEY)")
    with PoolWriter(tmp_path) as pool:
        assert pool.add(origin(), [new_crop()]) == [1]


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from support.pool_material import new_crop, origin
from sji_edge.pool.write import PoolWriter
pool = PoolWriter({pool!r})
pool.add(origin("SN1"), [new_crop("J1")])
pool._write_picture(origin("SN2"), new_crop("J1"))
os.kill(os.getpid(), 9)
"""


def test_a_killed_writer_loses_no_frame_and_the_next_one_continues(tmp_path):
    from support import pool_material

    tests = pool_material.__file__.rpartition("/support/")[0]
    script = KILLED.format(tests=tests, pool=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with PoolWriter(tmp_path) as pool:
        assert pool.add(origin("SN1"), [new_crop("J1")]) == []
        assert pool.add(origin("SN2"), [new_crop("J1")], record="r") == [2]


def test_judgements_are_added_and_an_engines_first_one_stays(tmp_path):
    with PoolWriter(tmp_path) as pool:
        pool.add(origin(), [new_crop("J1")])
        pool.judge(1, UTC, [judged(0.3)])
        pool.judge(1, UTC, [judged(0.9)])
        with pytest.raises(OutputError, match="FOREIGN KEY"):
            pool.judge(7, UTC, [judged(0.3)])
    with PoolReader(tmp_path) as reader:
        assert reader.get(1).judged.score == 0.3
