"""Boards are kept as the camera saw them, with the joints where the recipe has them."""

import sqlite3
from contextlib import closing

import cv2
import numpy as np
import pytest
from support.board_records import record, rows
from support.bright_model import PLACES, SIDE, board_image, frame_of, recipe_judge
from support.drawn_board import rigid

from sji_edge.core.verdict import Verdict
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.inspection.outputs.station_boards import GOOD_EVERY, StationBoards
from sji_edge.records.picture_names import PictureKind, board_picture
from sji_edge.records.write.sqlite import SqliteSink

GREYS = {"J1": 40, "J2": 60, "J3": 80, "J4": 50, "J5": 40}
GOOD = dict.fromkeys(GREYS, 40)


def middle_of(picture, name):
    x, y = (round(value) for value in PLACES[name])
    reach = SIDE // 4
    return float(np.median(picture[y - reach : y + reach, x - reach : x + reach]))


def test_a_board_that_did_not_pass_is_kept_straightened_and_unpainted(tmp_path):
    judgement = recipe_judge(tmp_path).judge(frame := frame_of(board_image(GREYS, rigid(2.0, (14, -9)))))
    StationBoards(PictureFolder(tmp_path / "boards")).keep(frame, judgement)
    kept = cv2.imread(str(tmp_path / "boards" / board_picture(judgement.record.board)), cv2.IMREAD_GRAYSCALE)
    assert kept.shape == frame.pixels.shape
    straight = board_image(GREYS, rigid(0.0, (0, 0)))
    for name in GREYS:
        assert middle_of(kept, name) == pytest.approx(middle_of(straight, name), abs=4), name


def test_a_frame_that_was_not_aligned_is_kept_as_it_came(tmp_path):
    blank = np.full((600, 800), 128, np.uint8)
    cv2.circle(blank, (300, 200), 40, 20, -1)
    judgement = recipe_judge(tmp_path).judge(frame := frame_of(blank))
    assert judgement.record.verdict is Verdict.ERROR
    StationBoards(PictureFolder(tmp_path / "boards")).keep(frame, judgement)
    (kept,) = (tmp_path / "boards").glob("*.jpg")
    assert np.abs(cv2.imread(str(kept), cv2.IMREAD_GRAYSCALE).astype(int) - blank).mean() < 1.0


def test_of_boards_that_passed_the_first_and_every_twentieth_is_kept(tmp_path):
    keeper = StationBoards(PictureFolder(tmp_path / "boards"))
    judge = recipe_judge(tmp_path)
    frame = frame_of(board_image(GOOD, rigid(0.0, (0, 0))))
    judgement = judge.judge(frame)
    assert judgement.record.verdict is Verdict.PASS
    for _ in range(2 * GOOD_EVERY):
        keeper.keep(frame, judgement)
        for path in (tmp_path / "boards").glob("*.jpg"):
            path.rename(path.with_suffix(f".kept{len(list((tmp_path / 'boards').iterdir()))}"))
    assert len(list((tmp_path / "boards").glob("*.kept*"))) == 2


def test_the_database_says_where_a_runs_pictures_lie_relative_to_itself(tmp_path):
    inside, outside = tmp_path / "records" / "boards", tmp_path / "elsewhere"
    inside.mkdir(parents=True)
    path = tmp_path / "records" / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(record())
        for _ in range(2):
            sink.keep_picture_folders("run", {PictureKind.BOARD: inside, PictureKind.CROP: outside})
    assert rows(path, "SELECT run, kind, folder FROM picture_folders ORDER BY kind") == [
        ("run", "board", "boards"),
        ("run", "crop", str(outside)),
    ]
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO picture_folders VALUES ('run', 'other', '/')")
