import json
import os
import re

import cv2
import numpy as np
import pytest
from support.drawn_board import JOINTS, MARKS, SIZE, board_settings

from sji_edge.core.errors import RecipeError, RoiOutsideFrameError
from sji_edge.recipe.board import Recipe


def test_reads_names_and_boxes_in_the_files_order(recipe_folder):
    joints = "refdes,x,y,width,height,package,rotation,lower,upper\n"
    joints += "B,9.5,20,10,8,bar,,,\nA,60,50,4,4,rect,-90,.2,.6\n"
    recipe = Recipe.load(recipe_folder(joints=joints))
    assert recipe.names == ["B", "A"]
    assert recipe.rois.dtype == np.float64
    np.testing.assert_allclose(recipe.rois, [[9.5, 20, 10, 8, 0], [60, 50, 4, 4, -np.pi / 2]])
    assert [(joint.lower, joint.upper) for joint in recipe.joints] == [(None, None), (0.2, 0.6)]
    assert recipe.board.frame == SIZE
    assert recipe.golden is None


def test_hash_follows_both_files_and_nothing_else(recipe_folder):
    first = Recipe.load(recipe_folder()).sha256
    assert Recipe.load(recipe_folder()).sha256 == first
    (recipe_folder() / "note.txt").write_text("x")
    assert Recipe.load(recipe_folder()).sha256 == first
    assert Recipe.load(recipe_folder(joints=JOINTS.replace("150", "151"))).sha256 != first
    assert Recipe.load(recipe_folder(board_settings(name="other"))).sha256 != first


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_read(recipe_folder):
    text = "\ufeff" + JOINTS.replace("\n", "\r\n") + "\r\n\r\n"
    assert Recipe.load(recipe_folder(joints=text.encode())).names == ["J1", "J2"]


def test_all_faults_are_reported_together_with_their_lines(recipe_folder):
    joints = (
        "refdes,x,y,width,height,package,lower,upper\n"
        "J1,200,150,40,40,circle,,\n"
        "J2,two,150,40,40,circle,,\n"
        "J3,200,150,-4,40,circle,,\n"
        "J1,300,150,40,40,circle,,\n"
        "J5,300,150\n"
        "J6,nan,150,40,40,circle,,\n"
        "J7,300,150,40,40,circle,0.5,\n"
        "J8,300,150,40,40,circle,0.5,0.4\n"
        "J9,639,150,40,40,circle,,\n"
    )
    board = board_settings()
    board["fiducials"][1]["radius"] = -3
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(board, joints))
    message = caught.value.message
    assert "\n" not in message
    assert "fiducials.1.radius" in message
    for line, what in (
        (3, "x"),
        (4, "width"),
        (5, "duplicate J1 (first on line 2"),
        (6, "3 cells"),
        (7, "x"),
    ):
        assert f"line {line}: {what}" in message
    assert "line 8: give both lower and upper" in message
    assert "line 9: lower must not be above upper (got 0.5 and 0.4)" in message


def test_joint_outside_the_frame_is_named(recipe_folder):
    joints = JOINTS + "J3,630,150,40,40,circle\nJ4,300,505,10,40,bar\n"
    with pytest.raises(RoiOutsideFrameError, match=r"line 4: joint J3 .*line 5: joint J4") as caught:
        Recipe.load(recipe_folder(joints=joints))
    assert caught.value.exit_code == 2


def test_rotation_counts_for_leaving_the_frame(recipe_folder):
    header = "refdes,x,y,width,height,package,rotation\n"
    assert Recipe.load(recipe_folder(joints=header + "J1,300,10,60,20,bar,0\n")).names == ["J1"]
    with pytest.raises(RoiOutsideFrameError, match="J1"):
        Recipe.load(recipe_folder(joints=header + "J1,300,10,60,20,bar,90\n"))


def test_box_may_reach_the_border_pixels_outer_edge_and_no_further(recipe_folder):
    header = "refdes,x,y,width,height,package\n"
    whole = f"{header}J1,{(SIZE[0] - 1) / 2},{(SIZE[1] - 1) / 2},{SIZE[0]},{SIZE[1]},bar\n"
    assert Recipe.load(recipe_folder(joints=whole)).names == ["J1"]
    with pytest.raises(RoiOutsideFrameError):
        Recipe.load(recipe_folder(joints=f"{header}J1,19.4,100,40,40,bar\n"))


@pytest.mark.parametrize(
    ("board", "joints", "wanted"),
    [
        ("{", JOINTS, "board.json line 1"),
        ("[]", JOINTS, "board.json line 1: board must be a JSON object"),
        (board_settings(fiducials=[]), JOINTS, "at least 2"),
        (board_settings(fiducials=[{"x": 1, "y": 2, "radius": 9}] * 2), JOINTS, "same place"),
        (board_settings(fiducials=[{"x": x, "y": 900, "radius": 9} for x in (5, 9)]), JOINTS, "outside"),
        (board_settings(alignement={}), JOINTS, "alignement"),
        (board_settings(frame=[0, 10]), JOINTS, "0x10"),
        (None, "", "no column 'refdes'"),
        (None, "refdes,x,y,width,height,package\n", "no joint"),
        (None, JOINTS.replace("package", "package,rotaton"), "'rotaton', did you mean 'rotation'"),
        (None, JOINTS.replace("package", "package,x"), "duplicate column 'x'"),
        (None, b"refdes,\xff\xfe", "not UTF-8"),
        (None, "refdes,x,y,width,height,package\n,1,2,3,4,bar\n", "line 2: refdes"),
    ],
)
def test_faults_are_recipe_errors(recipe_folder, board, joints, wanted):
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(board, joints))
    assert wanted in caught.value.message
    assert "Value error" not in caught.value.message


def test_a_missing_folder_or_file_is_named(tmp_path, recipe_folder):
    with pytest.raises(RecipeError, match="none does not exist"):
        Recipe.load(tmp_path / "none")
    folder = recipe_folder()
    (folder / "joints.csv").unlink()
    with pytest.raises(RecipeError, match=r"joints\.csv"):
        Recipe.load(folder)


def test_golden_image_is_loaded_and_must_have_the_frame_size(recipe_folder):
    folder = recipe_folder()
    golden = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0]), np.uint8)
    cv2.imwrite(str(folder / "golden.png"), golden)
    np.testing.assert_array_equal(Recipe.load(folder).golden, golden)
    cv2.imwrite(str(folder / "golden.png"), golden[:-1])
    with pytest.raises(RecipeError, match="640x519 px, but the frame is 640x520"):
        Recipe.load(folder)
    (folder / "golden.png").write_bytes(b"no image")
    with pytest.raises(RecipeError, match=r"golden\.png"):
        Recipe.load(folder)


def test_only_a_joint_outside_makes_a_roi_error_when_there_are_other_faults_too(recipe_folder):
    joints = JOINTS + "J3,630,150,40,40,circle\nJ4,x,150,10,40,bar\n"
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(joints=joints))
    assert not isinstance(caught.value, RoiOutsideFrameError)
    assert "J3" in caught.value.message


@pytest.mark.parametrize("other", ["j1", "J 1", "Ｊ1"])
def test_designators_that_differ_only_in_spelling_are_duplicates(recipe_folder, other):
    joints = JOINTS + f"{other},300,150,10,40,bar\n"
    with pytest.raises(
        RecipeError, match="first on line 2; J1 differs from it only in case, blanks or Unicode form"
    ):
        Recipe.load(recipe_folder(joints=joints))


@pytest.mark.parametrize("name", ["J3\x1b[2J", "J3\u202e"])
def test_names_with_control_characters_are_refused_in_printable_words(recipe_folder, name):
    for joints in (f"{name},300,150,10,40,bar\n", f"J3,300,150,10,40,{name}\n"):
        with pytest.raises(RecipeError, match=r"line 4: .* holds a control character") as caught:
            Recipe.load(recipe_folder(joints=JOINTS + joints))
        assert caught.value.message.isprintable()
    with pytest.raises(RecipeError, match="holds a control character") as caught:
        Recipe.load(recipe_folder(board_settings(name=name)))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("limits", ["0,0.5", "-0.1,0.5", "0.5,1.1", "0.6,0.5", "nan,0.5", "0.5,"])
def test_limits_of_a_joint_lie_in_order_between_0_and_1(recipe_folder, limits):
    joints = f"refdes,x,y,width,height,package,lower,upper\nJ1,200,150,40,40,circle,{limits}\n"
    with pytest.raises(RecipeError, match="line 2"):
        Recipe.load(recipe_folder(joints=joints))


def test_files_that_never_end_or_nest_without_end_are_refused(recipe_folder):
    folder = recipe_folder("[" * 100_000)
    with pytest.raises(RecipeError, match="nested too deeply"):
        Recipe.load(folder)
    for name in ("joints.csv", "board.json"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(RecipeError, match=f"{name}: not a regular file"):
            Recipe.load(folder)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        with pytest.raises(RecipeError, match=f"{name}: not a regular file"):
            Recipe.load(folder)
        (folder / name).unlink()
        (folder / name).write_text(JOINTS)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_tables_of_other_spreadsheets_are_read(recipe_folder, delimiter):
    assert Recipe.load(recipe_folder(joints=JOINTS.replace(",", delimiter))).names == ["J1", "J2"]
    with pytest.raises(RecipeError, match="UTF-16 text; save it as CSV in UTF-8"):
        Recipe.load(recipe_folder(joints=JOINTS.encode("utf-16")))


def test_real_recipe_loads(real_boards):
    recipe = Recipe.load(real_boards)
    assert len(recipe.names) == 100
    assert recipe.board.frame == (2448, 2048)
    assert recipe.golden is not None
    written = json.loads((real_boards / "board.json").read_text())
    assert [mark.x for mark in recipe.board.fiducials] == [mark["x"] for mark in written["fiducials"]]
    assert len(MARKS) == len(recipe.board.fiducials)


def test_faults_of_joints_are_reported_in_line_order(recipe_folder):
    joints = (
        "refdes,x,y,width,height,package\n"
        "J1,639,150,40,40,circle\n"
        "J2,two,150,40,40,circle\n"
        "J3,639,150,40,40,circle\n"
        "J1,300,150,40,40,circle\n"
    )
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(joints=joints))
    found = re.findall(r"joints\.csv line (\d+)", caught.value.message)
    assert found == ["2", "3", "4", "5"]
