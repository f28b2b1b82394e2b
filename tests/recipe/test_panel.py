import json

import pytest
from support.drawn_board import board_settings

from sji_edge.core.errors import RecipeError, RoiOutsideFrameError
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.panel import Unit

HEADER = "refdes,x,y,width,height,package,rotation,unit\n"


def load(folder, rows, units, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "joints.csv").write_text(HEADER + rows)
    (folder / "board.json").write_text(json.dumps(board_settings(units=units, **changes)))
    return Recipe.load(folder)


def test_a_joint_without_a_unit_is_stepped_over_all_units(tmp_path):
    units = [
        {"name": "U1"},
        {"name": "U2", "x": 200.0, "y": 10.0},
        {"name": "U3", "x": 640, "y": 520, "rotation": 180},
    ]
    recipe = load(tmp_path, "R1,100,150,40,30,0603,0,\nR2,150,200,20,20,0402,90,\n", units)
    assert recipe.names == ["U1/R1", "U1/R2", "U2/R1", "U2/R2", "U3/R1", "U3/R2"]
    places = {joint.refdes: (joint.x, joint.y, joint.rotation) for joint in recipe.joints}
    assert places["U2/R2"] == (350, 210, 90)
    # Turned by 180 degrees about the unit's origin, then moved.
    assert places["U3/R1"] == pytest.approx((540, 370, 180))
    assert places["U3/R2"] == pytest.approx((490, 320, -90))
    assert recipe.unit_of.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_same_designator_may_be_on_two_units_in_the_order_of_the_table(tmp_path):
    rows = "R1,100,150,40,30,0603,0,U2\nR1,300,150,40,30,0603,0,U1\nR2,300,250,40,30,0603,0,U1\n"
    recipe = load(tmp_path, rows, [{"name": "U1"}, {"name": "U2"}])
    assert recipe.names == ["U2/R1", "U1/R1", "U1/R2"]
    assert [(joint.x, joint.y, joint.rotation) for joint in recipe.joints] == [
        (100, 150, 0),
        (300, 150, 0),
        (300, 250, 0),
    ]
    assert recipe.unit_of.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("rows", "units", "said"),
    [
        ("R1,100,150,40,30,0603,0,U9\n", [{"name": "U1"}], "line 2: board.json has no unit U9"),
        ("R1,100,150,40,30,0603,0,U1\n", [], "names the unit U1, but board.json has no units"),
        ("R1,100,150,40,30,0603,0,U1\n", [{"name": "U1"}, {"name": "U2"}], "unit U2 has no joint"),
        ("R1,100,150,40,30,0603,0,\n", [{"name": "U1"}, {"name": "u 1"}], "two units have the same name"),
        ("R1,100,150,40,30,0603,0,\n", [{"name": "U/1"}], "must not hold '/'"),
        ("R1,100,150,40,30,0603,0,\nR1,200,150,40,30,0603,0,\n", [{"name": "U1"}], "duplicate R1"),
        (
            "R1,100,150,40,30,0603,0,\n",
            [{"name": "U1", "x": 500, "code": {"x": 150, "y": 100, "width": 40, "height": 40}}],
            "the code of unit U1 leaves the frame",
        ),
        (
            "R1,100,150,40,30,0603,0,\n",
            [{"name": "U1", "skip": {"x": 150, "y": 100, "width": 40, "height": 40}}],
            "skip marks need golden.png",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, rows, units, said):
    with pytest.raises(RecipeError, match=said):
        load(tmp_path, rows, units)


def test_a_stepped_joint_that_leaves_the_frame_is_named_with_its_unit(tmp_path):
    with pytest.raises(RoiOutsideFrameError, match="joint U2/R1 leaves the 640x520 frame"):
        load(tmp_path, "R1,100,150,40,30,0603,0,\n", [{"name": "U1"}, {"name": "U2", "x": 530}])


def test_an_area_turns_with_its_unit():
    unit = Unit(name="U1", x=100, y=50, rotation=90)
    area = unit.placed_area(Unit(name="U", code={"x": 10, "y": 20, "width": 8, "height": 9}).code)
    assert (area.x, area.y, area.rotation) == pytest.approx((80, 60, 90))
