import pytest

from sji_edge.core.errors import RecipeError
from sji_edge.recipe.importing.boxes import numbered_boards
from sji_edge.recipe.importing.camera_view import Anchor, CameraView
from sji_edge.recipe.importing.centroid import Centroids, Part
from sji_edge.recipe.importing.convert import import_board
from sji_edge.recipe.importing.packages import read_packages

PLACES = {"R1": (2, 3), "R2": (10, 3), "R3": (2, 9)}
VIEW = CameraView((800, 800), (Anchor.parse("1,1"), Anchor.parse("30,30")), scale=20.0, origin=(50.0, 700.0))


def board(shift, first_line, turned=False):
    """Three parts; turned by 180° about the panel's middle on request."""
    return [
        Part(
            first_line + n, name, "C", shift - x if turned else shift + x, 12 - y if turned else y, 0.0, "top"
        )
        for n, (name, (x, y)) in enumerate(PLACES.items())
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_the_boards_of_a_panel_are_numbered(turned):
    one, other = board(0, 2), board(40 if turned else 20, 5, turned)
    numbered, problems = numbered_boards([*one, *other], "p.csv")
    assert problems == []
    assert [part.refdes for part in numbered] == ["R1@1", "R2@1", "R3@1", "R1@2", "R2@2", "R3@2"]


def test_boards_are_told_apart_by_place_when_the_table_mixes_them():
    one, other = board(0, 2), board(20, 5)
    mixed = [other[0], one[0], one[1], other[1], one[2], other[2]]
    numbered, problems = numbered_boards(mixed, "p.csv")
    assert problems == []
    assert {part.refdes: part.x_mm for part in numbered if part.x_mm < 20}.keys() == {"R1@1", "R2@1", "R3@1"}


@pytest.mark.parametrize("extra", [Part(9, "R1", "C", 5, 5, 0.0, "top"), *board(20, 5)[:1]])
def test_a_duplicate_designator_is_refused_with_its_lines(extra):
    _, problems = numbered_boards([*board(0, 2), extra], "p.csv")
    assert [problem.text for problem in problems] == [
        f"p.csv line {extra.line}: duplicate R1 (first on line 2)"
    ]


def test_equal_counts_of_boards_that_differ_are_refused():
    other = board(20, 5)
    moved = [other[0], Part(6, "R2", "C", 25, 3, 0.0, "top"), other[2]]
    assert len(numbered_boards([*board(0, 2), *moved], "p.csv")[1]) == 3


def test_parts_that_are_not_inspected_may_repeat_and_are_counted():
    packages = read_packages(b"package,width,height\nC,1,1\nHOLE,0,0\n", "k.csv")[0]
    holes = [Part(20 + n, "REF**", "HOLE", 3 + n, 3, 0.0, "top") for n in range(5)]
    below = Part(30, "C9", "?", 1, 1, 0.0, "bottom")
    made = import_board(Centroids((*board(0, 2), *holes, below)), packages, VIEW, "p.csv")
    assert made.joints == 3
    assert [str(one) for one in made.left_out] == ["5 parts of package HOLE (REF**, REF**, REF**, …)"]
    assert made.other_side == 1
    with pytest.raises(RecipeError, match=r"p\.csv: left out: 5 parts of package HOLE"):
        import_board(Centroids((*board(0, 2), *holes)), packages, VIEW, "p.csv", strict=True)


def test_mounting_holes_need_no_line_in_the_packages_and_are_counted():
    packages = read_packages(b"package,width,height\nC,1,1\n", "k.csv")[0]
    holes = [Part(20 + n, "REF**", "MountingHole_3.2mm_M3", 3 + n, 3, 0.0, "top") for n in range(2)]
    made = import_board(Centroids((*board(0, 2), *holes)), packages, VIEW, "p.csv")
    assert made.joints == 3
    assert [str(one) for one in made.left_out] == ["2 parts of package MountingHole_3.2mm_M3 (REF**, REF**)"]
    with pytest.raises(RecipeError, match=r"left out: 2 parts of package MountingHole_3\.2mm_M3"):
        import_board(Centroids((*board(0, 2), *holes)), packages, VIEW, "p.csv", strict=True)


def test_mounting_holes_that_the_packages_give_a_box_are_inspected():
    packages = read_packages(b"package,width,height\nC,1,1\nMountingHole_Pad,3,3\n", "k.csv")[0]
    hole = Part(20, "H1", "MountingHole_Pad", 15, 9, 0.0, "top")
    made = import_board(Centroids((*board(0, 2), hole)), packages, VIEW, "p.csv")
    assert (made.joints, made.left_out) == (4, ())


def test_an_unknown_package_is_refused_once_though_its_parts_share_a_name():
    packages = read_packages(b"package,width,height\nC,1,1\n", "k.csv")[0]
    logos = [Part(20 + n, "REF**", "Logo", 3 + n, 3, 0.0, "top") for n in range(2)]
    with pytest.raises(RecipeError) as caught:
        import_board(Centroids((*board(0, 2), *logos)), packages, VIEW, "p.csv")
    assert str(caught.value) == (
        "p.csv cannot be imported: package Logo is not in the packages (p.csv line 20: REF**, and 1 more)"
    )


def test_designators_that_differ_only_in_spelling_are_refused():
    packages = read_packages(b"package,width,height\nC,1,1\n", "k.csv")[0]
    other = Part(9, "r1", "C", 20, 20, 0.0, "top")
    with pytest.raises(RecipeError, match=r"p\.csv lines 2 and 9: duplicate joints R1 and r1"):
        import_board(Centroids((*board(0, 2), other)), packages, VIEW, "p.csv")
