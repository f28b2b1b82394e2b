import pytest
from pydantic import ValidationError

from sji_edge.recipe.codes.area import Area, CodeArea, SerialRule


def test_an_area_leaves_the_frame_with_any_of_its_corners():
    box = {"x": 50.0, "y": 50.0, "width": 100.0, "height": 100.0}
    assert not Area(x=49.5, y=49.5, width=100, height=100).leaves((100, 100))
    assert Area(**box).leaves((100, 100))
    assert not Area(**box).leaves((101, 101))
    assert Area(**box, rotation=45).leaves((101, 101))


def test_corners_turn_from_x_towards_y():
    corners = Area(x=10, y=20, width=8, height=10, rotation=90).corners()
    assert corners[0] == pytest.approx((15, 16))
    assert corners[1] == pytest.approx((15, 24))


@pytest.mark.parametrize(
    ("pattern", "serial", "accepted"),
    [
        ("", "anything", True),
        ("", "", False),
        ("A[0-9]+", "A12", True),
        ("A[0-9]+", "xA12", False),
        ("", "x" * 201, False),
    ],
)
def test_the_whole_serial_number_must_match(pattern, serial, accepted):
    assert SerialRule(pattern=pattern).accepts(serial) is accepted


def test_a_broken_pattern_and_an_unknown_kind_are_refused():
    with pytest.raises(ValidationError, match="not a regular expression"):
        SerialRule(pattern="SN[0-9")
    with pytest.raises(ValidationError, match="data-matrix"):
        CodeArea(x=1, y=1, width=9, height=9, kinds=["aztec"])
