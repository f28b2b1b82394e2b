"""Importing, checking and drawing a recipe, called as functions."""

import cv2
import numpy as np
import pytest
from support.drawn_board import draw

from sji_edge.core.errors import OutputError, RecipeError, UsageError
from sji_edge.workflows.check_recipe import check_recipe, draw_recipe
from sji_edge.workflows.import_recipe import import_recipe

TABLE = "Ref,Val,Package,PosX,PosY,Rot,Side\nF1,,F,1,1,0,top\nC1,,C,10,10,0,top\nH1,,H,5,5,0,top\nC2,,C,1,1,0,bottom\n"
PACKAGES = "package,width,height\nC,1.2,1.2\nH,0,0\n"
DISCS = [(70, 480, 10), (570, 80, 10), (250, 300, 8)]


@pytest.fixture
def parts(tmp_path):
    """Returns the arguments of an import that works; keyword arguments replace them."""
    (tmp_path / "pos.csv").write_text(TABLE)
    (tmp_path / "packages.csv").write_text(PACKAGES)
    cv2.imwrite(str(tmp_path / "good.png"), draw(DISCS))

    def arguments(**changes):
        given = {
            "centroids": tmp_path / "pos.csv",
            "packages": tmp_path / "packages.csv",
            "output": tmp_path / "new",
            "fiducials": ["F1=70,480", "26,21=570,80"],
            "golden": tmp_path / "good.png",
        }
        return given | changes

    return arguments


def test_an_import_says_what_it_made_and_what_it_left_out(parts, capsys):
    made = import_recipe(**parts())
    assert (made.board.joints, made.board.other_side, made.table.program) == (1, 1, "KiCad")
    assert [str(one) for one in made.board.left_out] == ["1 part of package H (H1)"]
    assert made.board.warnings == ()
    checked = check_recipe(made.folder)
    assert checked
    checked.require()
    drawn = draw_recipe(made.folder, made.folder / "recipe.png")
    assert (drawn.joints, drawn.doubtful) == (1, ())
    assert cv2.imread(str(drawn.picture)).shape == (520, 640, 3)
    assert capsys.readouterr() == ("", "")


def test_strict_refuses_parts_that_are_left_out(parts, tmp_path):
    with pytest.raises(RecipeError, match="left out: 1 part of package H"):
        import_recipe(**parts(strict=True))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"side": "left"}, "the side must be one of top, bottom"),
        ({"units": "cm"}, "the units must be one of mm, mil, inch"),
        ({"bottom_rotation": "x"}, "the bottom rotation must be one of auto"),
        ({"golden": None}, "either a golden image or a frame size"),
        ({"golden": None, "frame": "640"}, "the frame size must be WIDTHxHEIGHT"),
        ({"origin": "1"}, "the origin must be X,Y"),
    ],
)
def test_a_wrong_argument_is_named(parts, changes, wanted):
    with pytest.raises(UsageError, match=wanted):
        import_recipe(**parts(**changes))


def test_nothing_is_overwritten_and_folders_that_cannot_be_written_are_output_errors(parts, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path, tmp_path / "file" / "new"):
        with pytest.raises(OutputError):
            import_recipe(**parts(output=output))
    made = import_recipe(**parts())
    with pytest.raises(OutputError):
        draw_recipe(made.folder, tmp_path / "file" / "a.png")
    with pytest.raises(UsageError, match="is the golden image itself"):
        draw_recipe(made.folder, made.folder / "golden.png")
    with pytest.raises(UsageError, match="not a picture file"):
        draw_recipe(made.folder, tmp_path / "a.pdf")


def test_a_golden_image_of_twelve_bits_is_refused_until_that_is_declared(parts, tmp_path):
    cv2.imwrite(str(tmp_path / "deep.tif"), draw(DISCS).astype(np.uint16) * 16)
    with pytest.raises(UsageError, match="uses 12 bits of its 16-bit samples"):
        import_recipe(**parts(golden=tmp_path / "deep.tif"))
    made = import_recipe(**parts(golden=tmp_path / "deep.tif", bit_depth=12))
    golden = cv2.imread(str(made.folder / "golden.png"), cv2.IMREAD_UNCHANGED)
    assert np.abs(golden.astype(int) - draw(DISCS)).max() <= 1


def test_a_recipe_that_does_not_fit_its_golden_image_is_false(parts):
    made = import_recipe(**parts())
    cv2.imwrite(str(made.folder / "golden.png"), draw([(x + 5, y, r) for x, y, r in DISCS]))
    checked = check_recipe(made.folder)
    assert not checked
    with pytest.raises(RecipeError, match=r"does not fit its golden\.png"):
        checked.require()
