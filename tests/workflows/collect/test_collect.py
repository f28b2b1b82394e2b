import sqlite3
from contextlib import closing

import cv2
import numpy as np
import pytest
from support.board_records import record
from support.bright_model import PLACES, SIDE, board_image, score_of
from support.greys_on_boards import bright_bundle, write_boards, write_frames

import sji_edge as sji
from sji_edge.core.errors import GateError, OutputError, UsageError
from sji_edge.core.images.read import read_image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.outputs.pool.units import unit_of
from sji_edge.pool.cutting import box_of
from sji_edge.pool.read import PoolReader
from sji_edge.pool.schema import KeptBecause
from sji_edge.testing import FakeClock
from sji_edge.workflows.collect.collect import collect

JOINTS = len(PLACES)


@pytest.fixture
def boards(tmp_path):
    return write_boards(tmp_path / "amplifier", {}, {"J1": 90}, {"J2": 62, "J3": 55})


def crops_of(pool, **options):
    with PoolReader(pool, **options) as reader:
        return list(reader.every())


def test_every_joint_of_every_frame_is_kept_with_its_origin(tmp_path, boards):
    result = collect(boards, boards, tmp_path / "pool", keep_duplicates=True, clock=FakeClock())
    crops = crops_of(tmp_path / "pool")
    assert result.crops == len(crops) == 3 * JOINTS
    assert {(crop.origin.frame_name, crop.refdes) for crop in crops} == {
        (f"board{number}.png", refdes) for number in range(3) for refdes in PLACES
    }
    one = crops[0]
    assert (one.origin.board, one.package, one.origin.unit) == ("amplifier", "rect", "board0.png")
    assert one.origin.captured.startswith("2025-01-31T08:09:10")
    assert one.judged is None
    assert (one.box.width, one.box.height) == pytest.approx((SIDE, SIDE), abs=0.2)


def test_the_box_shows_the_joint_and_the_margin_what_is_around_it(tmp_path, boards):
    collect(boards, boards, tmp_path / "pool", margin=0.3, keep_duplicates=True)
    frame = read_image(boards / "board1.png")
    (crop,) = [c for c in crops_of(tmp_path / "pool") if (c.refdes, c.origin.frame_index) == ("J1", 1)]
    pixels = cv2.imread(str(tmp_path / "pool" / crop.file), cv2.IMREAD_UNCHANGED)
    assert pixels.shape == (SIDE + 24, SIDE + 24)
    x, y = PLACES["J1"]
    wide = frame[y - 60 : y + 60, x - 60 : x + 60]
    assert cv2.matchTemplate(wide, pixels, cv2.TM_SQDIFF).min() == 0.0
    assert box_of(pixels, crop.box).mean() == pytest.approx(90, abs=1.5)


def test_the_same_frames_twice_add_nothing_and_an_interrupted_run_continues(tmp_path, boards):
    pool = tmp_path / "pool"
    asked = iter([False] * 8)
    first = collect(boards, boards, pool, keep_duplicates=True, max_frames=1)
    assert first.crops == JOINTS
    whole = collect(boards, boards, pool, keep_duplicates=True, stop=lambda: next(asked, False))
    assert (whole.counts.there, whole.counts.kept.total()) == (JOINTS, 2 * JOINTS)
    again = collect(boards, boards, pool, keep_duplicates=True)
    assert (again.counts.there, again.counts.kept.total(), again.crops) == (3 * JOINTS, 0, 3 * JOINTS)


def test_near_duplicates_of_the_same_place_are_dropped_and_counted(tmp_path, boards):
    result = collect(boards, boards, tmp_path / "pool")
    # The joints differ only in their grey level, and a difference hash ignores it.
    assert (result.counts.kept.total(), result.counts.duplicates) == (JOINTS, 2 * JOINTS)


def test_alike_joints_with_different_verdicts_are_no_duplicates(tmp_path, boards):
    engine = bright_bundle(tmp_path / "engines")
    collect(boards, boards, tmp_path / "pool", engine=engine, keep=["all"])
    kept = {(crop.refdes, crop.judged.verdict) for crop in crops_of(tmp_path / "pool")}
    assert kept == {(refdes, "PASS") for refdes in PLACES} | {("J1", "FAIL"), ("J2", "REVIEW")}


def test_a_called_joint_is_kept_even_if_the_pool_has_one_like_it(tmp_path):
    boards = write_boards(tmp_path / "b", {"J1": 90}, {"J1": 91})
    engine = bright_bundle(tmp_path / "engines")
    for keep in (["called"], ["called", "all"]):
        pool = tmp_path / "-".join(keep)
        result = collect(boards, boards, pool, engine=engine, keep=keep)
        assert [crop.refdes for crop in crops_of(pool)].count("J1") == 2
    assert result.counts.duplicates == JOINTS - 1


def test_an_engine_tells_which_joints_are_worth_keeping(tmp_path, boards):
    engine = bright_bundle(tmp_path / "engines", guard=True)
    pool = tmp_path / "pool"
    collect(boards, boards, pool, engine=engine, keep=["called", "uncertain", "novel:1.4"])
    found = {(crop.origin.frame_index, crop.refdes): crop for crop in crops_of(pool)}
    reasons = {place: crop.kept_because for place, crop in found.items()}
    assert reasons == {
        (1, "J1"): KeptBecause.CALLED,
        (2, "J2"): KeptBecause.CALLED,
        (2, "J3"): KeptBecause.CALLED,
    }
    # J3 passes by its score; the guard calls it.
    assert found[2, "J3"].judged.cause == "unlike-training"
    assert found[1, "J1"].judged.score == pytest.approx(score_of(90), abs=0.01)
    assert found[1, "J1"].judged.novelty == pytest.approx(5.0, abs=0.1)
    assert np.frombuffer(found[1, "J1"].judged.features, "<f4") == pytest.approx([9.0], abs=0.05)
    with pytest.raises(UsageError, match="this engine has no guard"):
        collect(boards, boards, pool, engine=bright_bundle(tmp_path / "plain"), keep=["novel"])


def test_an_uncertain_joint_is_one_near_a_threshold(tmp_path):
    def doubt(grey):
        return abs(np.log(score_of(grey) / (1 - score_of(grey))) - np.log(0.4 / 0.6))

    boards = write_boards(tmp_path / "b", {"J1": 56, "J2": 54})
    engine = bright_bundle(tmp_path / "engines")
    collect(boards, boards, tmp_path / "pool", engine=engine, keep=["uncertain:0.3"])
    assert doubt(56) < 0.3 < doubt(54)
    assert [(crop.refdes, crop.kept_because) for crop in crops_of(tmp_path / "pool")] == [("J1", "uncertain")]


def test_every_nth_frame_and_a_random_share(tmp_path):
    boards = write_boards(tmp_path / "b", *({"J1": 40 + number} for number in range(6)))
    collect(boards, boards, tmp_path / "nth", keep=["nth:3"], keep_duplicates=True)
    assert {crop.origin.frame_index for crop in crops_of(tmp_path / "nth")} == {0, 3}
    first = collect(boards, boards, tmp_path / "share", keep=["random:0.3"], keep_duplicates=True)
    again = collect(boards, boards, tmp_path / "share", keep=["random:0.3"], keep_duplicates=True)
    assert 0 < first.crops < 6 * JOINTS
    assert again.counts.kept.total() == 0


def test_the_quota_ends_the_run_and_is_kept(tmp_path, boards):
    size = collect(boards, boards, tmp_path / "one", max_frames=1).size
    quota = size * 1.5 / 1e6
    result = collect(boards, boards, tmp_path / "pool", keep_duplicates=True, quota_mb=quota)
    assert result.full
    assert result.size <= quota * 1e6
    assert JOINTS <= result.crops < 2 * JOINTS
    assert result.summary.captured < 4


def test_frames_that_fail_their_checks_are_counted_and_all_of_them_end_with_3(tmp_path, boards):
    cv2.imwrite(str(boards / "board3.png"), np.zeros((480, 640), np.uint8))
    cv2.imwrite(str(boards / "board4.png"), np.full((48, 64), 99, np.uint8))
    told = []
    result = collect(
        boards,
        boards,
        tmp_path / "pool",
        on_frame=lambda record, _: told.append((record.frame_name, record.cause)),
    )
    assert sum(result.summary.errors.values()) == 2
    assert [name for name, cause in told if cause] == ["board3.png", "board4.png"]
    bad = tmp_path / "bad"
    bad.mkdir()
    (boards / "board3.png").rename(bad / "board3.png")
    with pytest.raises(GateError, match="no joint was judged"):
        collect(bad, boards, tmp_path / "none")


def test_a_hidden_joint_is_not_kept(tmp_path):
    boards = write_boards(tmp_path / "b", {"J1": 0})
    result = collect(boards, boards, tmp_path / "pool")
    assert "J1" not in {crop.refdes for crop in crops_of(tmp_path / "pool")}
    assert result.counts.not_seen == 1


def test_the_serial_number_is_the_unit(tmp_path, boards):
    frames = write_frames(tmp_path / "frames", {})
    (frames / "board0.png").rename(frames / "top_SN0042_a.png")
    collect(frames, boards, tmp_path / "pool", serial_from=r"name:SN(?P<serial>\d+)")
    assert {crop.origin.unit for crop in crops_of(tmp_path / "pool")} == {"0042"}
    with pytest.raises(UsageError, match="not a regular expression"):
        collect(frames, boards, tmp_path / "pool", serial_from="name:(")


@pytest.mark.parametrize(
    ("name", "stored", "serial", "unit"),
    [
        ("a/b.png", True, "", "a/b.png"),
        ("a/b.png", True, "SN7", "SN7"),
        ("clip.mp4#000012", True, "", "clip.mp4"),
        ("synthetic#000012", True, "", "synthetic#000012"),
        ("camera0#000012", False, "", "2026-01-31T08:09"),
        ("camera0#000012", False, "SN7", "SN7"),
    ],
)
def test_without_a_serial_number_the_file_or_the_minute_is_the_unit(name, stored, serial, unit):
    shown = record(utc="2026-01-31T08:09:10.5+00:00", serial=serial)
    assert unit_of(Frame(0, name, 0, None), shown, stored=stored) == unit


def test_a_source_with_its_own_recipe_needs_none(tmp_path):
    result = collect("synthetic://?frames=2&seed=3", None, tmp_path / "pool")
    assert result.crops > 0
    with pytest.raises(UsageError, match="needs a recipe"):
        collect(write_frames(tmp_path / "frames", {}), None, tmp_path / "pool")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": ["uncertain"]}, "only an engine can tell which joints are uncertain"),
        ({"keep": ["every"]}, "cannot keep 'every'"),
        ({"keep": ["nth:0"]}, "whole number"),
        ({"keep": ["random:2"]}, "share up to 1"),
        ({"keep": ["uncertain:-1"]}, "above 0"),
        ({"margin": 9.0}, "margin must be 0 to 4"),
        ({"quota_mb": 0.0}, "quota must be above 0"),
    ],
)
def test_a_wrong_setting_leaves_no_pool(tmp_path, boards, changes, message):
    with pytest.raises(UsageError, match=message):
        collect(boards, boards, tmp_path / "pool", **changes)
    assert not (tmp_path / "pool").exists()


def test_a_pool_that_cannot_be_written_ends_the_run(tmp_path, boards):
    (tmp_path / "pool").write_text("a file")
    with pytest.raises(OutputError):
        sji.collect(boards, boards, tmp_path / "pool")


def test_crops_of_one_frame_and_two_recipes_are_two_crops(tmp_path, boards):
    other = tmp_path / "other"
    write_boards(other)
    table = (other / "joints.csv").read_text().replace(f",{SIDE},{SIDE},", f",{SIDE - 4},{SIDE},")
    (other / "joints.csv").write_text(table)
    for recipe in (boards, other):
        collect(boards, recipe, tmp_path / "pool", max_frames=1, keep_duplicates=True)
    with closing(sqlite3.connect(tmp_path / "pool" / "pool.db")) as connection:
        assert connection.execute("SELECT count(DISTINCT recipe_sha256), count(*) FROM crops").fetchone() == (
            2,
            2 * JOINTS,
        )


def test_unreadable_marks_are_told(tmp_path, boards):
    cv2.imwrite(str(boards / "board9.png"), np.full_like(board_image({}), 90))
    result = collect(boards, boards, tmp_path / "pool")
    assert result.summary.errors
