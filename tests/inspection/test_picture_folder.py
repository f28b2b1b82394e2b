import csv

import cv2
import numpy as np
import pytest
from bright_model import MODEL, PLACES, SPEC, board_image, frame_of, recipe_judge

from sji_edge.core.errors import OutputError
from sji_edge.core.preprocess import crops_to_image, sample_crop
from sji_edge.inspection.pictures import JointCrops, PictureFolder


def names(store: PictureFolder) -> list[str]:
    return sorted(
        path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file()
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
