import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from bright_model import MODEL, PLACES, SPEC, board_image, frame_of, recipe_judge

from sji_edge.core.errors import OutputError
from sji_edge.core.preprocess import crops_to_image, sample_crop
from sji_edge.inspection.pictures import LIST, JointCrops, PictureFolder


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
    with pytest.raises(OutputError, match="cannot make"):
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
