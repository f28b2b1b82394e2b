import csv
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bright_model import MODEL, PLACES, SPEC, board_image, frame_of, recipe_judge

from sji_edge.core.errors import OutputError
from sji_edge.core.files import write_atomic
from sji_edge.core.preprocess import crops_to_image, sample_crop
from sji_edge.inspection.outputs.joint_crops import JointCrops
from sji_edge.inspection.outputs.quota_folder import LIST, PictureFolder


def names(store: PictureFolder) -> list[str]:
    return sorted(
        path.relative_to(store.folder).as_posix()
        for path in store.folder.rglob("*")
        if path.is_file() and path.name != LIST
    )


def test_the_oldest_pictures_make_room(tmp_path):
    store = PictureFolder(tmp_path, quota_bytes=250)
    for number in range(4):
        assert store.write(f"{number}.png", bytes(100)) is not None
    assert names(store) == ["2.png", "3.png"]


def test_a_quota_holds_over_runs_and_touches_nothing_but_pictures(tmp_path):
    (tmp_path / "inspections.db").write_bytes(bytes(1000))
    PictureFolder(tmp_path).write("old.png", bytes(200))
    store = PictureFolder(tmp_path, quota_bytes=250)
    store.write("new.png", bytes(100))
    assert names(store) == ["inspections.db", "new.png"]


def test_a_picture_that_was_there_before_is_never_deleted(tmp_path):
    own = tmp_path / "dataset" / "train"
    own.mkdir(parents=True)
    (own / "mine.png").write_bytes(bytes(900))
    (tmp_path.parent / "outside.png").write_bytes(bytes(900))
    PictureFolder(tmp_path).write("old.png", bytes(200))
    with (tmp_path / LIST).open("a") as stream:
        stream.write("../outside.png\n/etc/hostname\n\ngone.png\n")
    store = PictureFolder(tmp_path, quota_bytes=250)
    for number in range(3):
        store.write(f"{number}.png", bytes(200))
    assert names(store) == ["2.png", "dataset/train/mine.png"]
    assert (tmp_path.parent / "outside.png").exists()


def test_a_picture_that_takes_another_ones_name_counts_as_its_own_size_alone(tmp_path):
    (tmp_path / "0.png").write_bytes(bytes(900))
    store = PictureFolder(tmp_path, quota_bytes=250)
    for number in range(4):
        store.write(f"{number}.png", bytes(100))
    assert names(store) == ["2.png", "3.png"]


def test_joints_of_like_names_keep_a_crop_each(tmp_path):
    like = ("J#1", "J@1", "J 1", "J/1", "J-1", "Ω1", "J%231", "J\udcff1")
    judge = recipe_judge(tmp_path)
    frame = frame_of(board_image(dict.fromkeys(PLACES, 40) | {"J2": 80}))
    judgement = judge.judge(frame)
    failed = judgement.record.joints[1]
    store = PictureFolder(tmp_path / "crops")
    for name in like:
        joints = tuple(
            replace(joint, refdes=name) if joint is failed else joint for joint in judgement.record.joints
        )
        JointCrops(store, SPEC).keep(
            frame, replace(judgement, record=replace(judgement.record, joints=joints))
        )
    assert len(list((store.folder / "FAIL").iterdir())) == len(like)


def test_a_picture_beyond_the_quota_is_not_kept_and_costs_no_other(tmp_path):
    store = PictureFolder(tmp_path, quota_bytes=250)
    store.write("small.png", bytes(100))
    assert store.write("large.png", bytes(300)) is None
    assert names(store) == ["small.png"]


def test_a_picture_of_the_same_name_is_replaced_and_counted_once(tmp_path):
    store = PictureFolder(tmp_path, quota_bytes=250)
    for _ in range(5):
        store.write("same.png", bytes(100))
    store.write("other.png", bytes(100))
    assert names(store) == ["other.png", "same.png"]


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot create"):
        PictureFolder(tmp_path / "file")


def test_crops_of_what_did_not_pass_are_those_that_the_engine_saw(tmp_path):
    judge = recipe_judge(tmp_path)
    frame = frame_of(board_image(dict.fromkeys(PLACES, 40) | {"J2": 80, "J4": 60}))
    judgement = judge.judge(frame)
    store = PictureFolder(tmp_path / "crops")
    JointCrops(store, SPEC).keep(frame, judgement)
    with (store.folder / "crops.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["refdes"], row["verdict"], row["label"]) for row in rows] == [
        ("J2", "FAIL", MODEL.classes[1]),
        ("J4", "REVIEW", rows[1]["label"]),
    ]
    assert names(store) == sorted(["crops.csv", *(row["file"] for row in rows)])
    kept = cv2.imread(str(store.folder / rows[0]["file"]), cv2.IMREAD_UNCHANGED)
    x, y = PLACES["J2"]
    maps = crops_to_image(np.array([[x, y, 40, 40, 0.0]]), SPEC)
    wanted = np.empty(SPEC.shape, np.uint8)
    sample_crop(frame.pixels, maps[0], wanted)
    assert np.abs(kept.astype(int) - wanted[:, :, 0]).max() <= 1
    assert float(rows[0]["score"]) == next(j.score for j in judgement.record.joints if j.refdes == "J2")


def test_a_board_without_places_has_no_crops(tmp_path):
    judge = recipe_judge(tmp_path)
    frame = frame_of(np.full((480, 640), 90, np.uint8))
    store = PictureFolder(tmp_path / "crops")
    JointCrops(store, SPEC).keep(frame, judge.judge(frame))
    assert names(store) == []


KILLED = """
    import os, pathlib, sys
    from sji_edge.inspection.outputs.quota_folder import PictureFolder
    store = PictureFolder(pathlib.Path(sys.argv[1]))
    store.write("FAIL/whole.png", bytes(100))
    pathlib.Path.replace = lambda *names: os.kill(os.getpid(), 9)
    store.write("FAIL/half.png", bytes(100))
"""


def left_by_a_killed_run(folder):
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(folder)], check=False)
    assert child.returncode == -9
    [left] = folder.glob("FAIL/.half.png.*")
    return left


def test_what_a_killed_run_left_half_written_is_deleted_once_it_is_surely_nobodys(tmp_path):
    left = left_by_a_killed_run(tmp_path)
    own = tmp_path / "FAIL" / ".mine.png.a2345678"
    own.write_bytes(bytes(900))
    PictureFolder(tmp_path)
    assert left.exists()
    # Two more starts: it is on the list by its own name now.
    for path in (left, own):
        os.utime(path, (0, 0))
    for _ in range(2):
        store = PictureFolder(tmp_path)
        assert names(store) == ["FAIL/.mine.png.a2345678", "FAIL/whole.png"]


def test_until_then_it_counts_and_makes_room_like_a_picture(tmp_path):
    left = left_by_a_killed_run(tmp_path)
    os.utime(tmp_path / "FAIL" / "whole.png", (2e9, 2e9))
    store = PictureFolder(tmp_path, quota_bytes=350)
    store.write("a.png", bytes(150))
    assert left.exists()
    store.write("b.png", bytes(50))
    assert not left.exists()
    assert names(store) == ["FAIL/whole.png", "a.png", "b.png"]


def test_another_run_may_end_writing_a_picture_at_any_moment(tmp_path, monkeypatch):
    left = left_by_a_killed_run(tmp_path)
    looked_at = Path.is_file

    def renamed_after_a_look(path):
        there = looked_at(path)
        if path == left and there:
            path.rename(tmp_path / "FAIL" / "half.png")
        return there

    monkeypatch.setattr(Path, "is_file", renamed_after_a_look)
    store = PictureFolder(tmp_path, quota_bytes=350)
    assert names(store) == ["FAIL/half.png", "FAIL/whole.png"]


def test_the_list_of_pictures_is_bounded_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("sji_edge.inspection.outputs.quota_folder.FEW_LINES", 10)
    made_anew = []
    monkeypatch.setattr(
        "sji_edge.inspection.outputs.quota_folder.write_atomic",
        lambda path, *rest, **how: (made_anew.append(path.name), write_atomic(path, *rest, **how)),
    )
    store = PictureFolder(tmp_path, quota_bytes=300)
    for number in range(200):
        store.write(f"{number}.png", bytes(100))
        assert len((tmp_path / LIST).read_text().splitlines()) <= 2 * 3 + 10
    assert names(PictureFolder(tmp_path)) == ["197.png", "198.png", "199.png"]
    # Not at each picture: that would be a look at all of them.
    assert 10 <= made_anew.count(LIST) <= 2 + 200 / 10


def crops_of(folder, quota, boards, first=0):
    """Keep one crop of each board: J2 fails."""
    judge = recipe_judge(folder.parent)
    frame = frame_of(board_image(dict.fromkeys(PLACES, 40) | {"J2": 80}))
    judgement = judge.judge(frame)
    crops = JointCrops(PictureFolder(folder, quota), SPEC)
    for number in range(first, first + boards):
        crops.keep(frame, replace(judgement, record=replace(judgement.record, board=f"run-{number:06d}")))


def table(folder):
    with (folder / "crops.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_of_crops_is_bounded_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("sji_edge.inspection.outputs.joint_crops.FEW_LINES", 10)
    folder = tmp_path / "crops"
    crops_of(folder, None, 1)
    [size] = [path.stat().st_size for path in folder.glob("FAIL/*.png")]
    crops_of(folder, 4 * size, 120, first=1)
    rows = table(folder)
    there = sorted(path.relative_to(folder).as_posix() for path in folder.glob("FAIL/*.png"))
    assert [row["file"] for row in rows][-4:] == there
    assert len(rows) <= 2 * 4 + 10
    assert {row["refdes"] for row in rows} == {"J2"}
    # The next start leaves nothing but what is there.
    crops_of(folder, 4 * size, 0)
    assert [row["file"] for row in table(folder)] == there


def test_a_persons_lines_and_columns_of_the_table_stay(tmp_path):
    folder = tmp_path / "crops"
    crops_of(folder, None, 3)
    text = (folder / "crops.csv").read_bytes().splitlines()
    noted = [text[0] + b",note", text[1] + b",caf\xe9", text[2] + b",bad", text[3] + b","]
    (folder / "crops.csv").write_bytes(b"\r\n".join(noted) + b"\r\n")
    (folder / "FAIL" / "run-000001_J2.png").unlink()
    crops_of(folder, None, 0)
    assert len((folder / "crops.csv").read_bytes().splitlines()) == 4
    crops_of(folder, 10**6, 0)
    assert (folder / "crops.csv").read_bytes().splitlines() == [noted[0], noted[1], noted[3]]


def test_a_file_that_is_not_a_table_is_reported(tmp_path):
    folder = tmp_path / "crops"
    crops_of(folder, None, 1)
    (folder / "crops.csv").write_text("x" * 200_000)
    with pytest.raises(OutputError, match="cannot use"):
        crops_of(folder, 10**6, 1)
    (folder / "crops.csv").write_text("")
    crops_of(folder, 10**6, 2)
    assert [row["board"] for row in table(folder)] == ["run-000000", "run-000001"]


@pytest.mark.parametrize("linked_later", [False, True])
def test_what_a_linked_sub_folder_leads_to_is_neither_deleted_nor_counted(tmp_path, linked_later):
    outside, folder = tmp_path / "outside", tmp_path / "crops"
    outside.mkdir()
    (outside / "old.png").write_bytes(bytes(200))
    store = PictureFolder(folder, quota_bytes=250)
    store.write("FAIL/old.png", bytes(200))
    (folder / "FAIL").rename(tmp_path / "moved")
    (folder / "FAIL").symlink_to(outside)
    if not linked_later:
        store = PictureFolder(folder, quota_bytes=250)
    for number in range(3):
        store.write(f"REVIEW/{number}.png", bytes(200))
    assert (outside / "old.png").exists()
    assert (folder / "REVIEW" / "2.png").exists()
    with pytest.raises(OutputError, match="a link that leads out of"):
        store.write("FAIL/new.png", bytes(10))
    assert sorted(path.name for path in outside.iterdir()) == ["old.png"]


def test_a_folder_that_is_a_link_itself_is_used(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "crops").symlink_to(tmp_path / "disk")
    store = PictureFolder(tmp_path / "crops", quota_bytes=250)
    for number in range(3):
        store.write(f"FAIL/{number}.png", bytes(200))
    assert names(store) == ["FAIL/2.png"]
