import cv2
import numpy as np
from support.drawn_board import MARKS, SIZE, board_settings, draw, settings_of

from sji_edge.cli.main import _exit_code
from sji_edge.recipe.board import Board
from sji_edge.recipe.checking.drawing import DOUBTFUL_BGR, FIDUCIAL_BGR, JOINT_BGR, box_of, paint_recipe
from sji_edge.recipe.joints import Joint

PLAIN = Joint(refdes="J1", x=200, y=150, width=60, height=30, package="bar")
TURNED = Joint(refdes="J2", x=400, y=300, width=60, height=30, package="bar", rotation=30)


def near(picture, colour, x, y, reach=2):
    part = picture[round(y) - reach : round(y) + reach + 1, round(x) - reach : round(x) + reach + 1]
    return bool((np.abs(part.astype(int) - colour).max(axis=2) < 40).any())


def test_the_first_corner_of_a_box_follows_its_rotation():
    np.testing.assert_allclose(box_of(PLAIN), [[170, 135], [230, 135], [230, 165], [170, 165]])
    # x towards y: (-30, -15) turned by 30° in an image whose y points down.
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    wanted = [400 - 30 * cos + 15 * sin, 300 - 30 * sin - 15 * cos]
    np.testing.assert_allclose(box_of(TURNED)[0], wanted)


def test_boxes_marks_and_windows_are_painted_where_they_are():
    golden = draw([(x, y, 12) for x, y in MARKS])
    before = golden.copy()
    picture = paint_recipe(golden, Board(**board_settings()), [PLAIN, TURNED], {"J2"})
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_array_equal(golden, before)
    for corners, colour in ((box_of(PLAIN), JOINT_BGR), (box_of(TURNED), DOUBTFUL_BGR)):
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            assert near(picture, colour, *(0.3 * start + 0.7 * end))
    x, y = MARKS[1]
    assert near(picture, FIDUCIAL_BGR, x, y + 12)
    assert near(picture, FIDUCIAL_BGR, x - 75, y, reach=10)
    assert not near(picture, FIDUCIAL_BGR, 320, 260, reach=30)


def test_every_shape_and_names_at_the_border_are_painted():
    for kind in ("cross", "template"):
        board = Board(**settings_of(kind))
        picture = paint_recipe(draw([]), board, [PLAIN.model_copy(update={"x": 31, "y": 16})])
        assert all(near(picture, FIDUCIAL_BGR, x, y + board.fiducials[0].half_px[1]) for x, y in MARKS)


def test_draw_writes_a_picture_and_never_over_the_golden_image(recipe_folder, tmp_path):
    folder = recipe_folder()
    golden, output = folder / "golden.png", tmp_path / "recipe.png"
    assert _exit_code(["recipe", "draw", str(folder), "--output", str(output)], debug=False) == 2
    cv2.imwrite(str(golden), draw([(x, y, 12) for x, y in MARKS]))
    before = golden.read_bytes()
    assert _exit_code(["recipe", "draw", str(folder), "--output", str(golden)], debug=False) == 2
    assert golden.read_bytes() == before
    assert _exit_code(["recipe", "draw", str(folder), "--output", str(output)], debug=False) == 0
    assert cv2.imread(str(output)).shape == (SIZE[1], SIZE[0], 3)
