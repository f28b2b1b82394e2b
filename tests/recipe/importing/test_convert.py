import csv
import io
import json

import cv2
import numpy as np
import pytest
from support.drawn_board import draw

from sji_edge.cli.main import _exit_code
from sji_edge.core.errors import RecipeError, UsageError
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.importing.camera_view import Anchor, CameraView
from sji_edge.recipe.importing.centroid import Centroids, Part
from sji_edge.recipe.importing.convert import import_board
from sji_edge.recipe.importing.packages import read_packages
from sji_edge.recipe.importing.panel import PanelGrid

PACKAGES = "package,width,height,pin,dx,dy\nC,2,1,,,\nSOT,0.6,0.8,1,1,0\nSOT,0.6,0.8,2,-1,0.5\nHOLE,0,0,,,\n"
FRAME = (640, 520)


def part(refdes, package, x, y, rotation=0.0, side="top", line=2):
    return Part(line, refdes, package, x, y, rotation, side)


def made(parts, anchors=("5,5", "25,15"), **view):
    given = {"scale": 20.0, "origin": (50.0, 500.0)} | view
    settings = CameraView(FRAME, tuple(map(Anchor.parse, anchors)), **given)
    packages = read_packages(PACKAGES.encode(), "p.csv")[0]
    board = import_board(Centroids(tuple(parts)), packages, settings, "pos.csv")
    rows = csv.DictReader(io.StringIO(board.joints_csv))
    return board, {
        row["refdes"]: [float(row[key]) for key in ("x", "y", "width", "height", "rotation")] for row in rows
    }


def test_y_goes_up_in_mm_and_down_in_pixels():
    board, joints = made([part("C1", "C", 10, 4), part("H1", "HOLE", 1, 1)])
    assert joints == {"C1": [250, 420, 40, 20, 0]}  # 50 + 20·10, 500 − 20·4
    fiducials = json.loads(board.board_json)["fiducials"]
    assert [(mark["x"], mark["y"], mark["radius"]) for mark in fiducials] == [(150, 400, 10), (550, 200, 10)]
    assert board.joints == 1
    assert [str(one) for one in board.left_out] == ["1 part of package HOLE (H1)"]


def test_a_part_turned_by_90_carries_its_pins_counter_clockwise():
    _, joints = made([part("U1", "SOT", 10, 10, rotation=90)])
    # Pin 1, 1 mm to the right, is then 1 mm above; pin 2 at (-1, 0.5) comes to (-0.5, -1).
    assert joints["U1.1"] == [250, 280, 12, 16, -90]
    assert joints["U1.2"] == [240, 320, 12, 16, -90]


def test_a_slanted_box_covers_what_its_part_covers():
    _, joints = made([part("C1", "C", 10, 10, rotation=30)])
    x, y, _, _, rotation = joints["C1"]
    # The end of the part, 1 mm along its own axis: up and to the right by 30°, in pixels 20 a mm.
    end = [x + 20 * np.cos(np.radians(rotation)), y + 20 * np.sin(np.radians(rotation))]
    np.testing.assert_allclose(end, [250 + 20 * np.cos(np.pi / 6), 300 - 20 * np.sin(np.pi / 6)], atol=1e-3)


def test_the_bottom_is_mirrored_and_imported_alone():
    parts = [part("C1", "C", 10, 4), part("U1", "SOT", -10, 4, side="bottom")]
    _, joints = made(parts, anchors=("-5,5", "-25,15"), side="bottom")
    # x = -10 mm is at the right of the origin from below; its pin 1 lies to the right as the camera sees it.
    assert joints["U1.1"][:2] == [270, 420]
    assert set(joints) == {"U1.1", "U1.2"}


def test_fiducials_with_pixels_give_scale_rotation_and_place():
    # The board lies turned by 90° clockwise: its x axis points downwards, its y axis to the right.
    anchors = ("F1=100,50", "20,0=100,450", "0,10=300,50")
    parts = [part("F1", "FID", 0, 0), part("C1", "C", 10, 5), part("U1", "SOT", 10, 5)]
    board, joints = made(parts, anchors, scale=None, origin=None)
    assert joints["C1"] == pytest.approx([200, 250, 40, 20, 90])
    assert joints["U1.1"][:2] == pytest.approx([200, 270])
    assert (board.scale, board.turn_deg, board.residual_px) == pytest.approx((20, 90, 0), abs=1e-9)
    # A fiducial's own row is no joint, so that its package need not be known.
    assert "F1" not in joints


def test_everything_that_does_not_fit_is_reported_together():
    parts = [
        part("C1", "X", 1, 1, line=2), part("C2", "X", 2, 1, line=3), part("C3", "Y", 2, 1, line=4),
        part("C4", "C", 100, 1, line=5), part("U1", "SOT", 10, 10, line=6), part("U1.1", "C", 10, 10, line=7),
    ]  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        made(parts)
    for wanted in ("package X is not in the packages (pos.csv line 2: C1, and 1 more)", "package Y",
                   "line 5: joint C4 leaves", "lines 6 and 7: duplicate joints U1.1 and U1.1"):  # fmt: skip
        assert wanted in caught.value.message


@pytest.mark.parametrize(
    ("anchors", "view", "wanted"),
    [(("1,1",), {}, r"two to four fiducials \(got 1\)"), (("F9", "1,1"), {}, "no part F9"),
     (("1,1", "1,1"), {}, "same place"),
     (("1,1=5,5", "2,2=9,9"), {}, "not both"), (("1,1", "2,2"), {"origin": None}, "need an origin"),
     (("1,1", "2,2"), {"scale": None}, "an origin needs a scale"),
     (("0,0=100,400", "10,0=300,400"), {"origin": None, "scale": 25.0}, "give 20 px/mm, but the scale is set to 25"),
     (("0,0=100,400", "10,0=300,400", "0,10=100,600"), {"origin": None}, "disagree by"),
     (("0,0", "200,0"), {}, "outside the frame")],
)  # fmt: skip
def test_fiducials_that_do_not_fit_are_refused(anchors, view, wanted):
    with pytest.raises(RecipeError, match=wanted):
        made([part("C1", "C", 10, 4)], anchors, **view)


@pytest.mark.parametrize("text", ["", "=1,2", "F1=", "F1=x", "1,x", "1,2=3", "1,nan"])
def test_a_point_that_cannot_be_read_is_refused(text):
    with pytest.raises(RecipeError, match="cannot read the point"):
        Anchor.parse(text)


def test_import_writes_a_recipe_that_reads_and_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "pos.csv").write_text(
        "Ref,Val,Package,PosX,PosY,Rot,Side\nFID1,,F,1,1,0,top\nC1,,C,10,10,90,top\nC2,,C,10,10,0,bottom\n"
    )
    (tmp_path / "packages.csv").write_text(PACKAGES)
    cv2.imwrite(str(tmp_path / "good.png"), draw([(70, 480, 10), (570, 80, 10), (250, 300, 8)]))
    words = ["recipe", "import", str(tmp_path / "pos.csv"), "--packages", str(tmp_path / "packages.csv"),
             "--golden", str(tmp_path / "good.png"), "--output", str(tmp_path / "new"),
             "--fiducial", "FID1=70,480", "--fiducial", "26,21=570,80"]  # fmt: skip
    assert _exit_code(words, debug=False) == 0
    assert "20 px/mm" in capsys.readouterr().out
    recipe = Recipe.load(tmp_path / "new")
    np.testing.assert_allclose(recipe.rois, [[250, 300, 40, 20, -np.pi / 2]], atol=1e-3)
    assert _exit_code(["recipe", "check", str(tmp_path / "new")], debug=False) == 0
    assert _exit_code(words, debug=False) == 7
    (tmp_path / "packages.csv").write_text("package,width,height\nD,1,1\n")
    words[8] = str(tmp_path / "other")
    assert _exit_code(words, debug=False) == 2
    assert not (tmp_path / "other").exists()


def stepped(side="top", pitch=(6, 4), **view):
    packages = read_packages(PACKAGES.encode(), "p.csv")[0]
    given = {"scale": 20.0, "origin": (50.0, 500.0), "side": side} | view
    settings = CameraView(FRAME, tuple(map(Anchor.parse, ("5,5", "25,15"))), **given)
    parts = (part("C1", "C", 10, 4, side=side), part("C2", "C", 10, 7, side=side))
    return import_board(Centroids(parts), packages, settings, "pos.csv", panel=PanelGrid(2, 3, pitch))


def test_a_board_is_stepped_over_a_panel_from_where_the_table_has_it(tmp_path):
    board = stepped()
    (tmp_path / "board.json").write_text(board.board_json)
    (tmp_path / "joints.csv").write_text(board.joints_csv)
    recipe = Recipe.load(tmp_path)
    assert (board.joints, board.units, len(recipe.joints)) == (12, 6, 12)
    places = {joint.refdes: (joint.x, joint.y) for joint in recipe.joints}
    # 20 pixels a mm: 6 mm to the right are 120 pixels, 4 mm up are 80 pixels up.
    assert places["U1/C1"] == (250, 420)
    assert places["U2/C1"] == (370, 420)
    assert places["U3/C1"] == (250, 340)
    assert places["U6/C2"] == (370, 200)


def test_on_the_bottom_the_panel_steps_the_way_the_camera_sees_it():
    units = json.loads(stepped("bottom", origin=(550.0, 500.0)).board_json)["units"]
    assert [(unit["x"], unit["y"]) for unit in units[:3]] == [(0, 0), (-120, 0), (0, -80)]


def test_a_panel_that_leaves_the_frame_is_refused_with_the_unit():
    with pytest.raises(RecipeError, match="joint U2/C1 leaves the 640x520 frame") as caught:
        stepped(pitch=(30, 4))
    assert "pitch" in caught.value.hint


def test_a_table_that_lists_each_board_becomes_units(tmp_path):
    boards = [part(name, "C", x + dx, y) for dx in (0, 8) for name, x, y in (("C1", 4, 4), ("C2", 7, 9))]
    board, _ = made([one.__class__(**{**vars_of(one), "line": line}) for line, one in enumerate(boards, 2)])
    (tmp_path / "board.json").write_text(board.board_json)
    (tmp_path / "joints.csv").write_text(board.joints_csv)
    recipe = Recipe.load(tmp_path)
    assert sorted(recipe.names) == ["U1/C1", "U1/C2", "U2/C1", "U2/C2"]
    assert board.units == 2


def vars_of(one):
    return {name: getattr(one, name) for name in one.__slots__}


@pytest.mark.parametrize(
    ("panel", "pitch"), [("2x3", ""), ("", "4,5"), ("2", "4,5"), ("1x1", "4,5"), ("2x2", "4")]
)
def test_half_a_panel_is_a_usage_error(panel, pitch):
    assert PanelGrid.parse("", "") is None
    assert PanelGrid.parse("2x3", "40,-35.5") == PanelGrid(2, 3, (40.0, -35.5))
    with pytest.raises(UsageError):
        PanelGrid.parse(panel, pitch)
