import cv2
import numpy as np
import pytest
from support.drawn_board import JOINTS, MARKS, board_settings, draw

from sji_edge.cli.main import _exit_code
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.checking.check import overlapping, review


@pytest.fixture
def golden_recipe(recipe_folder):
    """Writes a recipe whose golden shows discs at its fiducials and a bright spot in J1 only."""

    def write(shift=(0.0, 0.0), missing=(), **changes):
        folder = recipe_folder(board_settings(**changes))
        discs = [(x + shift[0], y + shift[1], 12) for n, (x, y) in enumerate(MARKS) if n not in missing]
        cv2.imwrite(str(folder / "golden.png"), draw([*discs, (200, 150, 9)], noise=3.0))
        return folder

    return write


def test_fiducials_of_golden_are_found_at_their_places(golden_recipe):
    found = review(Recipe.load(golden_recipe()))
    assert found.faults == ()
    assert len(found.fiducials) == len(MARKS)
    for one in found.fiducials:
        assert one.offset_px < 0.1
        assert one.residual_px < 0.1
        assert one.contrast == pytest.approx(190, abs=5)


def test_a_shifted_golden_image_is_a_fault_for_each_fiducial(golden_recipe):
    found = review(Recipe.load(golden_recipe(shift=(3.0, -4.0))))
    assert [one.offset_px for one in found.fiducials] == pytest.approx([5.0] * 4, abs=0.1)
    # All moved by the same amount: the residual alone would not show it.
    assert max(one.residual_px for one in found.fiducials) < 0.1
    assert len(found.faults) == len(MARKS)


def test_a_fiducial_missing_in_golden_is_a_fault(golden_recipe):
    found = review(Recipe.load(golden_recipe(missing=[2])))
    assert found.fiducials[2].offset_px is None
    assert found.fiducials[1].offset_px < 0.1
    assert "fiducial 2 not found" in found.faults[0]


def placed(recipe_folder, marks):
    """A recipe with these fiducials, and a golden image that shows them."""
    fiducials = [{"x": x, "y": y, "radius": 12, "search_px": 40} for x, y in marks]
    folder = recipe_folder(board_settings(fiducials=fiducials))
    cv2.imwrite(str(folder / "golden.png"), draw([(x, y, 12) for x, y in marks], noise=3.0))
    return Recipe.load(folder)


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ([(80, 90), (559, 429)], ("turned by 180°",)),
        ([(80, 90), (559, 90), (80, 429), (559, 429)], ("turned by 180°", "mirrored")),
        ([(80, 90), (559, 90)], ("mirrored",)),
        ([(80, 90), (559, 90), (200, 429)], ()),
    ],
)
def test_orientations_that_the_fiducials_cannot_tell_apart_are_named(recipe_folder, marks, wanted):
    assert review(placed(recipe_folder, marks)).confused == wanted


def test_only_the_box_that_shows_nothing_is_flat(golden_recipe):
    assert review(Recipe.load(golden_recipe())).flat == ("J2",)


def test_without_golden_nothing_is_reported_about_boxes(recipe_folder):
    found = review(Recipe.load(recipe_folder()))
    assert (found.fiducials, found.flat, found.faults) == ((), (), ())


def test_overlaps_agree_with_counting_points_in_both_boxes():
    rng = np.random.default_rng(5)
    rois = np.column_stack([rng.uniform(40, 160, (7, 2)), rng.uniform(20, 60, (7, 2)), rng.uniform(-3, 3, 7)])
    grid = np.stack(np.meshgrid(np.arange(0, 200, 0.25), np.arange(0, 200, 0.25)), axis=-1)
    inside = []
    for x, y, width, height, angle in rois:
        along = (grid - [x, y]) @ [np.cos(angle), np.sin(angle)]
        across = (grid - [x, y]) @ [-np.sin(angle), np.cos(angle)]
        inside.append((np.abs(along) <= width / 2) & (np.abs(across) <= height / 2))
    wanted = {}
    for a in range(7):
        for b in range(a + 1, 7):
            share = (inside[a] & inside[b]).sum() / min(inside[a].sum(), inside[b].sum())
            if share >= 0.01:
                wanted[f"{a}", f"{b}"] = share
    found = {(one.first, one.second): one.share for one in overlapping([str(n) for n in range(7)], rois)}
    assert len(wanted) > 3
    assert found == pytest.approx(wanted, abs=0.02)


def test_check_exits_2_on_faults_and_0_without(golden_recipe, recipe_folder, capsys):
    folder = golden_recipe()
    assert _exit_code(["recipe", "check", str(folder)], debug=False) == 0
    assert "show nothing in golden.png: 1: J2" in capsys.readouterr().out
    assert _exit_code(["recipe", "check", str(golden_recipe(shift=(5, 0)))], debug=False) == 2
    recipe_folder(joints=JOINTS.replace("150", "x"))
    assert _exit_code(["recipe", "check", str(folder)], debug=False) == 2
    assert "joints.csv line 2" in capsys.readouterr().err


def test_check_without_golden_says_nothing_of_flat_boxes(recipe_folder, capsys):
    assert _exit_code(["recipe", "check", str(recipe_folder())], debug=False) == 0
    shown = capsys.readouterr().out
    assert "no golden.png: " in shown
    assert "show nothing" not in shown
    assert "overlapping boxes: none" in shown
