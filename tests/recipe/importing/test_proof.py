"""An import that is mirrored, turned or in the wrong unit is found by what golden shows, by its turn, or by a point."""

import cv2
import numpy as np
import pytest

from sji_edge.core.errors import RecipeError
from sji_edge.recipe.importing.camera_view import Anchor, CameraView
from sji_edge.recipe.importing.centroid import Centroids, Part
from sji_edge.recipe.importing.convert import import_board
from sji_edge.recipe.importing.packages import read_packages

PX = 20  # a mm
SIDE_MM = 40
PACKAGES = "package,width,height,pin,dx,dy\nPAD,3,2,,,\nSOT,1,1,1,0.9,0\n-,0,0,,,\n"
GRID = [(x, y) for y in (32, 24, 16, 8) for x in (8, 16, 24, 32)]
CORNERS = {"F1": (3, 37), "F2": (37, 3), "F3": (37, 37)}


def parts_at(places, package="PAD", side="top", rotation=0.0):
    parts = [Part(n + 2, f"R{n}", package, x, y, rotation, side) for n, (x, y) in enumerate(places)]
    return parts + [
        Part(90 + n, name, "-", x, y, 0.0, side) for n, (name, (x, y)) in enumerate(CORNERS.items())
    ]


def pixel(x, y):
    return round(x * PX), round((SIDE_MM - y) * PX)


def golden_of(rectangles, fiducials=None):
    """A board with bright rectangles ``(x, y, width, height)`` in mm."""
    image = np.random.default_rng(0).normal(60, 2, (SIDE_MM * PX, SIDE_MM * PX))
    for x, y, width, height in rectangles:
        (left, top), (right, bottom) = (
            pixel(x - width / 2, y + height / 2),
            pixel(x + width / 2, y - height / 2),
        )
        image[top:bottom, left:right] = 190
    image = np.clip(image, 0, 255).astype(np.uint8)
    for place in CORNERS.values() if fiducials is None else fiducials:
        cv2.circle(image, pixel(*place), 10, 250, -1, cv2.LINE_AA)
    return image


def imported(parts, names=("F1", "F2"), golden=None, mirror_pixels=False, points=(), **settings):
    def at(name):
        x, y = pixel(*CORNERS[name])
        return SIDE_MM * PX - x if mirror_pixels else x, y

    anchors = tuple(Anchor(name, None, tuple(map(float, at(name)))) for name in names)
    view = CameraView(
        (SIDE_MM * PX, SIDE_MM * PX), anchors, points=tuple(map(Anchor.parse, points)), **settings
    )
    table = parts if isinstance(parts, Centroids) else Centroids(tuple(parts))
    return import_board(table, read_packages(PACKAGES.encode(), "p.csv")[0], view, "pos.csv", golden=golden)


def negative(parts):
    """The same parts with X of the other sign, their fiducials too."""
    return [Part(p.line, p.refdes, p.package, -p.x_mm, p.y_mm, p.rotation_deg, p.side) for p in parts]


def test_two_fiducials_suffice_for_an_upright_board():
    board = imported(parts_at(GRID))
    assert board.proof == "the board lies upright (turned by 0.0°); its mirror image would not"
    assert imported(parts_at(GRID), CORNERS).proof.startswith("three or more fiducials")


@pytest.mark.parametrize("change", [{"mirror_pixels": True}, {"negative": True}])
def test_a_mirrored_board_with_two_fiducials_is_found_by_its_odd_turn(change):
    parts = negative(parts_at(GRID)) if change.pop("negative", False) else parts_at(GRID)
    with pytest.raises(
        RecipeError, match=r"also fit a mirror image: as given, .* turned by -?90\.0°"
    ) as caught:
        imported(parts, **change)
    assert "third fiducial" in caught.value.hint
    assert "negative X" in caught.value.hint


def test_a_third_fiducial_finds_the_mirror_image():
    with pytest.raises(RecipeError, match="the fiducials disagree") as caught:
        imported(negative(parts_at(GRID)), CORNERS)
    assert "if the board were mirrored" in caught.value.hint


def test_golden_finds_the_mirror_image_where_boxes_would_show_nothing():
    places = GRID[:7]
    golden = golden_of([(x, y, 3, 2) for x, y in places])
    assert (
        imported(parts_at(places), golden=golden).proof
        == "golden.png distinguishes the board from its mirror image"
    )
    with pytest.raises(
        RecipeError, match=r"\d of 7 boxes show nothing in it, but only 0 if the board is mirrored"
    ):
        imported(negative(parts_at(places)), golden=golden)


def test_golden_finds_the_mirror_image_of_a_symmetric_grid_by_how_boxes_lie_on_their_joints():
    golden = golden_of([(x, y, 3, 2) for x, y in GRID])
    with pytest.raises(RecipeError, match="more of its 16 boxes lie on a joint if the board is mirrored"):
        imported(negative(parts_at(GRID)), golden=golden)


def test_a_board_turned_by_90_asks_for_a_third_point_and_takes_it():
    turned = [Part(p.line, p.refdes, p.package, p.y_mm, SIDE_MM - p.x_mm, 0.0, "top") for p in parts_at(GRID)]
    with pytest.raises(RecipeError, match="the fiducials also fit a mirror image"):
        imported(turned)
    x, y = pixel(*GRID[1])
    assert (
        imported(turned, points=(f"R1={x},{y}",)).proof == "R1 distinguishes the board from its mirror image"
    )


def test_a_point_finds_the_mirror_image_and_a_wrong_pixel():
    x, y = pixel(*GRID[1])
    with pytest.raises(RecipeError, match=r"point R1 lies .* px from .*: the board is mirrored"):
        imported(negative(parts_at(GRID)), points=(f"R1={x},{y}",))
    with pytest.raises(RecipeError, match=r"point R1 lies 30\.0 px .* the limit is 10\.0 px$"):
        imported(parts_at(GRID), points=(f"R1={x + 30},{y}",))
    with pytest.raises(RecipeError, match="no part R99"):
        imported(parts_at(GRID), points=("R99=1,1",))


def test_pixels_in_the_wrong_order_are_found_by_golden():
    places = GRID[:7]
    golden = golden_of([(x, y, 3, 2) for x, y in places])
    anchors = tuple(
        Anchor(name, None, tuple(map(float, pixel(*CORNERS[at]))))
        for name, at in (("F1", "F2"), ("F2", "F1"))
    )
    view = CameraView((SIDE_MM * PX, SIDE_MM * PX), anchors)
    boxes = read_packages(PACKAGES.encode(), "p.csv")[0]
    with pytest.raises(RecipeError, match=r"contradicts this import: .* if the board is turned by 180"):
        import_board(Centroids(tuple(parts_at(places))), boxes, view, "pos.csv", golden=golden)


def test_rotations_of_the_bottom_counted_from_the_wrong_side_are_found_by_golden():
    # Seen from below, pin 1 lies 0.9 mm to the left of each part that is turned by 180°.
    parts = negative(parts_at(GRID, "SOT", "bottom", 180.0))
    golden = golden_of([(x - 0.9, y, 1, 1) for x, y in GRID])
    assert imported(parts, CORNERS, golden=golden, side="bottom").joints == 16
    wrong = negative(parts_at(GRID, "SOT", "bottom", 0.0))
    with pytest.raises(
        RecipeError, match="if rotations of the bottom are counted from the other side"
    ) as caught:
        imported(wrong, CORNERS, golden=golden, side="bottom")
    assert "from-above for KiCad" in caught.value.hint


@pytest.mark.parametrize(("unit", "mm"), [("inch", 25.4), ("mil", 0.0254)])
def test_lengths_in_another_unit_lead_to_a_question(unit, mm):
    scaled = tuple(
        Part(p.line, p.refdes, p.package, p.x_mm / mm, p.y_mm / mm, 0.0, "top") for p in parts_at(GRID)
    )
    with pytest.raises(RecipeError, match="cannot be imported") as caught:
        imported(Centroids(scaled), CORNERS)
    assert caught.value.hint.endswith(f"set the units to {unit}")
    with pytest.raises(RecipeError, match="cannot be imported") as caught:
        imported(Centroids(scaled, unit="mm", declared=True), CORNERS)
    assert "units" not in caught.value.hint


def test_golden_finds_a_wrong_unit_by_the_size_of_the_fiducials():
    small = "package,width,height\nPAD,0.15,0.1\n-,0,0\n"
    golden = golden_of([(x, y, 2, 1.3) for x, y in GRID])
    inches = tuple(
        Part(p.line, p.refdes, p.package, p.x_mm / 25.4, p.y_mm / 25.4, 0.0, "top") for p in parts_at(GRID)
    )
    anchors = tuple(Anchor(name, None, tuple(map(float, pixel(*CORNERS[name])))) for name in CORNERS)
    view = CameraView((SIDE_MM * PX, SIDE_MM * PX), anchors)
    with pytest.raises(RecipeError, match="shows no fiducials of 1 mm; it would if the table were in inches"):
        import_board(Centroids(inches), read_packages(small.encode(), "p")[0], view, "pos.csv", golden=golden)


def test_what_golden_does_not_show_is_a_warning():
    golden = golden_of([(x, y, 3, 2) for x, y in GRID[:8]], fiducials=[CORNERS["F1"], CORNERS["F2"]])
    board = imported(parts_at(GRID), CORNERS, golden=golden)
    assert any("8 of 16 boxes show nothing in golden.png" in warning for warning in board.warnings)
    assert any("no fiducial 2 of 1 mm" in warning for warning in board.warnings)


def test_a_designator_of_two_parts_is_no_fiducial():
    with pytest.raises(RecipeError, match="F1 is on lines 90 and 99; give its place in mm instead"):
        imported([*parts_at(GRID), Part(99, "F1", "-", 5, 5, 0.0, "top")])


def test_the_evidence_does_not_speak_against_a_right_import_of_the_real_board(real_boards):
    """With two fiducials, and parts from its own recipe: the textured board must not speak against the truth."""
    from sji_edge.recipe.board import Recipe

    recipe = Recipe.load(real_boards)
    width, height = recipe.board.frame
    parts = [
        Part(n, joint.refdes, joint.refdes, joint.x / PX, (height - joint.y) / PX, -joint.rotation, "top")
        for n, joint in enumerate(recipe.joints)
    ]
    boxes = "package,width,height\n" + "".join(
        f"{joint.refdes},{joint.width / PX},{joint.height / PX}\n" for joint in recipe.joints
    )
    packages = read_packages(boxes.encode(), "p.csv")[0]
    marks = [recipe.board.fiducials[0], recipe.board.fiducials[3]]
    anchors = tuple(Anchor("", (m.x / PX, (height - m.y) / PX), (m.x, m.y)) for m in marks)
    diameter = 2 * recipe.board.fiducials[0].radius / PX
    view = CameraView((width, height), anchors, fiducial_mm=diameter)
    board = import_board(Centroids(tuple(parts)), packages, view, "pos.csv", golden=recipe.golden)
    assert (board.joints, board.warnings) == (100, ())
