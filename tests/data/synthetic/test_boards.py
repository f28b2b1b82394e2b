import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.data.synthetic.boards import (
    FIDUCIAL_CLEARANCE_PX,
    TEST_PAD_RADIUS_PX,
    SyntheticBoards,
    write_boards,
)
from sji_edge.data.synthetic.joint import STATES
from sji_edge.data.synthetic.layout import FIDUCIAL_RADIUS_PX, Movement, lay_out
from sji_edge.data.synthetic.solder import PAD_PX
from sji_edge.recipe.board import Recipe

FAR = Movement(max_angle_deg=2.0, max_shift_px=40.0)
FRAMES = 3


@pytest.fixture(scope="module")
def far_boards() -> SyntheticBoards:
    return SyntheticBoards(5, 36, 0.3, movement=FAR)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "boards"
    write_boards(folder, seed=8, frames=FRAMES, joints=6, defect_rate=0.5)
    return folder


def centroid(image: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Centre of the light of the disc at a place, what surrounds it taken off."""
    half = round(FIDUCIAL_RADIUS_PX) + 4
    left, top = round(x) - half, round(y) - half
    window = image[top : top + 2 * half + 1, left : left + 2 * half + 1].astype(np.float64)
    weight = np.clip(window - 60.0, 0.0, None)
    rows, columns = np.indices(window.shape)
    weight[np.hypot(rows + top - y, columns + left - x) > FIDUCIAL_RADIUS_PX + 3.5] = 0.0
    return left + (weight * columns).sum() / weight.sum(), top + (weight * rows).sum() / weight.sum()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("index", range(4))
def test_fiducials_lie_where_the_transform_says(far_boards: SyntheticBoards, index: int) -> None:
    shot = far_boards.render(index)
    for mark in far_boards.board["fiducials"]:
        x, y = shot.transform @ (mark["x"], mark["y"], 1.0)
        assert centroid(shot.image, x, y) == pytest.approx((x, y), abs=0.1)


def test_fiducials_lie_at_their_place_in_the_golden_image(far_boards: SyntheticBoards) -> None:
    for mark in far_boards.board["fiducials"]:
        assert centroid(far_boards.golden, mark["x"], mark["y"]) == pytest.approx(
            (mark["x"], mark["y"]), abs=0.1
        )


def test_a_transform_turns_and_shifts_within_its_limits(far_boards: SyntheticBoards) -> None:
    middle = (np.array(far_boards.layout.frame) - 1) / 2
    for index in range(4):
        matrix = far_boards.render(index).transform
        turn = matrix[:, :2]
        assert turn @ turn.T == pytest.approx(np.eye(2), abs=1e-12)
        assert abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))) <= FAR.max_angle_deg
        assert np.abs(turn @ middle + matrix[:, 2] - middle).max() <= FAR.max_shift_px + 1e-9


@pytest.mark.parametrize("movement", [Movement(), FAR], ids=["line", "far"])
@pytest.mark.parametrize("joints", [4, 36])
def test_no_pad_and_no_test_pad_reaches_a_fiducials_clearance(joints: int, movement: Movement) -> None:
    clear = FIDUCIAL_RADIUS_PX + FIDUCIAL_CLEARANCE_PX
    for seed in range(40):
        layout = lay_out(np.random.default_rng(seed), joints, movement)
        for site in layout.sites:
            half = np.array(PAD_PX[site.pad]) / 2
            for mark in layout.fiducials:
                for offset in ((0.0, 0.0), site.neighbour):
                    centre = np.array([site.x, site.y]) + offset
                    assert np.hypot(*np.maximum(np.abs(centre - mark) - half, 0.0)) > clear
                if site.test_pad is not None:
                    spot = np.array([site.x, site.y]) + site.test_pad
                    assert np.hypot(*(spot - mark)) > clear + TEST_PAD_RADIUS_PX


@pytest.mark.parametrize("movement", [Movement(), FAR], ids=["line", "far"])
@pytest.mark.parametrize("joints", [1, 7, 36, 100])
def test_boxes_and_fiducials_stay_in_the_frame_at_the_extremes(joints: int, movement: Movement) -> None:
    boards = SyntheticBoards(2, joints, movement=movement)
    width, height = boards.layout.frame
    corners = []
    for mark in boards.board["fiducials"]:
        reach = mark["radius"] + 1
        corners += [(mark["x"] + dx * reach, mark["y"] + dy * reach) for dx in (-1, 1) for dy in (-1, 1)]
    for _, x, y, box_width, box_height, _ in boards.joints:
        corners += [(x + dx * box_width / 2, y + dy * box_height / 2) for dx in (-1, 1) for dy in (-1, 1)]
    middle = np.array([width - 1, height - 1]) / 2
    for sign in (-1, 1):
        angle = sign * np.radians(movement.max_angle_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = (np.array(corners) - middle) @ turn.T + middle
        assert moved.min() >= movement.max_shift_px
        assert (moved.max(axis=0) <= np.array([width, height]) - 1 - movement.max_shift_px).all()


def test_joints_lie_within_the_tolerance_of_their_place() -> None:
    still = Movement(max_angle_deg=0.0, max_shift_px=0.0, max_gain_change=0.0, max_joint_offset_px=0.0)
    boards = SyntheticBoards(4, 9, 0.0, movement=still)
    shot = boards.render(0)
    assert np.array_equal(shot.transform, np.eye(2, 3))
    for _, x, y, width, height, _ in boards.joints:
        box = shot.image[y - height // 2 : y + height // 2, x - width // 2 : x + width // 2].astype(float)
        # A good joint is a dark body on a brighter board.
        dark = cv2.GaussianBlur(box, (0, 0), 2.0) < 20.0
        rows, columns = np.nonzero(dark)
        assert np.median(rows) == pytest.approx(height / 2, abs=4)
        assert np.median(columns) == pytest.approx(width / 2, abs=4)


def test_the_folder_is_a_recipe_with_as_many_joints(folder: Path) -> None:
    recipe = Recipe.load(folder)
    assert len(recipe.joints) == 6
    assert recipe.golden is not None
    assert recipe.names == [f"J{number:03d}" for number in range(1, 7)]


def test_the_files_have_the_real_boards_format(folder: Path) -> None:
    board = json.loads((folder / "board.json").read_text())
    assert set(board) == {"frame", "fiducials"}
    assert [set(mark) for mark in board["fiducials"]] == [{"x", "y", "radius", "shape", "bright"}] * 4
    assert (folder / "joints.csv").read_text().startswith("refdes,x,y,width,height,package\nJ001,")
    assert (
        (folder / "truth.csv").read_text().startswith("frame,refdes,state,source\nboard00.png,J001,normal,")
    )
    names = {path.name for path in folder.glob("board*.png")}
    assert names == {"board00.png", "board01.png", "board02.png"}
    image = cv2.imread(str(folder / "board01.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == tuple(reversed(board["frame"]))


def test_truth_and_transforms_are_those_of_the_frames_in_memory(folder: Path) -> None:
    boards = SyntheticBoards(8, 6, 0.5)
    truth, transforms = rows_of(folder / "truth.csv"), rows_of(folder / "transforms.csv")
    assert len(truth) == 6 * FRAMES
    for index, row in enumerate(transforms):
        shot = boards.render(index)
        image = cv2.imread(str(folder / row["frame"]), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, shot.image)
        written = [[row["xx"], row["xy"], row["x"]], [row["yx"], row["yy"], row["y"]]]
        assert np.array_equal(np.array(written, dtype=np.float64), shot.transform)
        states = [line["state"] for line in truth if line["frame"] == row["frame"]]
        assert tuple(states) == shot.states
    assert any(line["state"] != "normal" for line in truth)


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_boards(tmp_path / "again", seed=8, frames=FRAMES, joints=6, defect_rate=0.5)
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert again == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_frame_does_not_depend_on_those_rendered_before() -> None:
    in_order, alone = SyntheticBoards(1, 4, 0.5), SyntheticBoards(1, 4, 0.5)
    frames = [in_order.render(index).image for index in range(3)]
    assert np.array_equal(alone.render(2).image, frames[2])
    assert not np.array_equal(frames[1], frames[2])


def test_defects_come_at_their_rate_but_for_the_faultless_frames() -> None:
    boards = SyntheticBoards(6, 30, 0.4, faultless_every=4)
    states = [boards.render(index).states for index in range(8)]
    assert all(set(states[index]) == {"normal"} for index in (0, 4))
    others = [state for index in (1, 2, 3, 5, 6, 7) for state in states[index]]
    assert set(others) <= set(STATES)
    # 180 draws at 0.4: four standard deviations are 0.15.
    assert np.mean([state != "normal" for state in others]) == pytest.approx(0.4, abs=0.15)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"joints": 0}, r"at least 1 joint \(got 0\)"),
        ({"joints": 50, "frame": (612, 512)}, "do not fit"),
        ({"joints": 4, "defect_rate": 1.5}, r"\(got 1\.5, 0, 8\)"),
        ({"joints": 4, "frame": (40, 40)}, "holds 0"),
    ],
)
def test_an_impossible_board_is_refused(arguments: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        SyntheticBoards(0, **arguments)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(UsageError):
        Movement(max_shift_px=-1.0)
    with pytest.raises(UsageError, match=r"at least 0 \(got -1\)"):
        SyntheticBoards(0, 1).render(-1)


def test_a_folder_that_exists_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(OutputError):
        write_boards(folder, seed=8, frames=1, joints=6, defect_rate=0.5)
