import shutil

import cv2
import numpy as np
import pytest
from support.bright_model import (
    MODEL,
    PLACES,
    SIDE,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    grey_patch,
    image_judge,
    open_engine,
    recipe_judge,
)
from support.drawn_board import place, rigid

from sji_edge.core.errors import OutputError
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout
from sji_edge.inspection.outputs.painted_board import (
    COLOURS_BGR,
    box_corners,
    paint_board,
    save_picture,
)
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.records.picture_names import painted_picture
from sji_edge.testing import FakeClock

GREYS = {"J1": 40, "J2": 60, "J3": 80, "J4": 0, "J5": 40}
WANTED = {
    "J1": Verdict.PASS,
    "J2": Verdict.REVIEW,
    "J3": Verdict.FAIL,
    "J4": Verdict.ERROR,
    "J5": Verdict.PASS,
}


def test_boxes_lie_where_the_joints_are_and_wear_their_verdicts_colour(tmp_path):
    truth = rigid(1.0, (14, -9))
    frame = board_image(GREYS, truth)
    before = frame.copy()
    judgement = recipe_judge(tmp_path).judge(frame_of(frame))
    picture = paint_board(frame, judgement, SPEC)
    np.testing.assert_array_equal(frame, before)
    banner = picture.shape[0] - frame.shape[0]
    assert banner > 0
    assert picture.shape[1:] == (frame.shape[1], 3)
    for name, verdict in WANTED.items():
        # The middle of the box's right side, clear of the text over its upper left.
        x, y = place(truth, [np.add(PLACES[name], (SIDE / 2, 0))])[0]
        patch = picture[banner + round(y) - 2 : banner + round(y) + 3, round(x) - 2 : round(x) + 3]
        distance = np.abs(patch.astype(int) - COLOURS_BGR[verdict]).sum(axis=2).min()
        assert distance < 120, name


def test_corners_are_the_boxes_outer_corners(tmp_path):
    truth = rigid(-1.5, (3, 4))
    judgement = recipe_judge(tmp_path).judge(frame_of(board_image(GREYS, truth)))
    half = SIDE / 2
    offsets = [(-half, -half), (half, -half), (half, half), (-half, half)]
    wanted = [place(truth, [np.add(centre, offset) for offset in offsets]) for centre in PLACES.values()]
    np.testing.assert_allclose(box_corners(judgement.placement.maps, SPEC), wanted, atol=0.1)


def test_board_that_was_not_aligned_shows_its_cause_and_no_box(tmp_path):
    frame = np.full((520, 640), 90, np.uint8)
    picture = paint_board(frame, recipe_judge(tmp_path).judge(frame_of(frame)), SPEC)
    body = picture[-frame.shape[0] :]
    assert (body == 90).all()
    banner = picture[: -frame.shape[0]].reshape(-1, 3)
    assert (banner == COLOURS_BGR[Verdict.ERROR]).all(axis=1).any()


def test_pictures_are_named_after_frames(tmp_path):
    judge = image_judge(tmp_path)
    frame = frame_of(np.full((60, 60), 80, np.uint8), name="clip.mp4#000001")
    store = PictureFolder(tmp_path / "pictures")
    path = save_picture(store, frame, judge.judge(frame), SPEC)
    assert path == store.folder / "run-000000_clip.mp4_000001.jpg"
    assert cv2.imread(str(path)).shape[1] == 60
    nothing = frame_of(None, error="gone")
    assert save_picture(store, nothing, judge.judge(nothing), SPEC) is None
    shutil.rmtree(store.folder)
    store.folder.write_text("in the way")
    with pytest.raises(OutputError):
        save_picture(store, frame, judge.judge(frame), SPEC)


def test_frames_of_the_same_stem_and_later_runs_keep_a_picture_each(tmp_path):
    store = PictureFolder(tmp_path / "pictures")
    names = ["a/board.png", "b/board.png", "board.tif", "camera0#000000"]
    image = grey_patch(80, 60)
    for run in ("run1", "run2"):
        judge = BoardJudge(open_engine(tmp_path), MODEL, ImageLayout(SPEC, THRESHOLDS), FakeClock(), run)
        for index, name in enumerate(names):
            frame = frame_of(image, index, name)
            judgement = judge.judge(frame)
            assert [joint.refdes for joint in judgement.record.joints] == [name]
            path = save_picture(store, frame, judgement, SPEC)
            assert path.name.startswith(judgement.record.board)
    kept = sorted(path.name for path in store.folder.glob("*.jpg"))
    assert kept[:4] == [
        "run1-000000_a_board.png.jpg",
        "run1-000001_b_board.png.jpg",
        "run1-000002_board.tif.jpg",
        "run1-000003_camera0_000000.jpg",
    ]
    assert len(kept) == 8


def test_picture_of_a_frame_with_a_long_name_keeps_the_boards_name():
    name = painted_picture("run-000007", "x" * 300)
    assert len(name) < 140
    assert name.startswith("run-000007_xxx")
