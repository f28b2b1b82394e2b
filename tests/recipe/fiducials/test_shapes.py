import numpy as np
import pytest
from support.drawn_board import COVERS, MARKS, SIZE, place, rigid, scene, settings_of, shot

from sji_edge.core.errors import RecipeError
from sji_edge.recipe.align.alignment import Aligner, Alignment, AlignmentFailure, apply
from sji_edge.recipe.board import Board, Recipe
from sji_edge.recipe.json_lines import line_of

CORNERS = np.array([[0.0, 0.0], [SIZE[0], 0.0], [0.0, SIZE[1]], [SIZE[0], SIZE[1]]])
GOLDEN = {kind: shot(scene(kind, np.eye(2, 3)), noise=2.0, seed=99) for kind in COVERS}


def aligner(kind, **changes):
    return Aligner(Board.model_validate(settings_of(kind, **changes)), GOLDEN[kind])


def misplacement(found, truth):
    return float(np.hypot(*(apply(found.matrix, CORNERS) - place(truth, CORNERS)).T).max())


def cover(image, centre, reach, grey=120.0):
    """Cover everything more than ``reach`` to the right of a mark's centre."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    x, y = columns - centre[0], rows - centre[1]
    image[(x > reach) & (x < 40) & (np.abs(y) < 40)] = grey
    return image


@pytest.mark.parametrize("kind", sorted(COVERS))
@pytest.mark.parametrize(
    "camera",
    [
        {"noise": 3.0},
        {"noise": 10.0},
        {"noise": 3.0, "blur": 1.5},
        {"noise": 3.0, "gain": 0.4},
        {"noise": 3.0, "gain": 1.3},
    ],
    ids=["sharp", "noisy", "blurred", "dark", "saturated"],
)
def test_every_shape_is_found_to_a_tenth_of_a_pixel(kind, camera):
    finder = aligner(kind)
    for seed, signs in enumerate([(1, 1, 1), (-1, -1, 1)]):
        random = np.random.default_rng(seed)
        truth = rigid(signs[0] * 2, (signs[1] * 40 + random.uniform(-1, 0), signs[2] * 40 - 0.5))
        found = finder.align(shot(scene(kind, truth), seed=seed, **camera))
        assert isinstance(found, Alignment), found
        assert misplacement(found, truth) < 0.1
        assert found.residual_px < 0.1


@pytest.mark.parametrize("kind", ["cross", "template"])
def test_a_mark_covered_in_part_is_found_or_refused_but_never_misplaced(kind):
    finder, truth = aligner(kind), rigid(-1.3, (14.3, -8.7))
    found = []
    for number, reach in enumerate((13, 10, 6, 2)):
        image = cover(scene(kind, truth), place(truth, MARKS)[number], reach)
        answer = finder.align(shot(image, noise=3.0, seed=number))
        if isinstance(answer, Alignment):
            assert misplacement(answer, truth) < 0.5
            found.append(reach)
    assert 13 in found


@pytest.mark.parametrize("kind", sorted(COVERS))
def test_a_covered_fiducial_is_an_error_unless_one_may_be_lost(kind):
    truth = rigid(1.1, (-20.2, 11.4))
    frame = shot(scene(kind, truth, missing={2}), noise=3.0)
    assert aligner(kind).align(frame) == AlignmentFailure("fiducial 2 not found")
    found = aligner(kind, alignment={"max_lost": 1}).align(frame)
    assert isinstance(found, Alignment)
    assert found.lost == (2,)
    assert misplacement(found, truth) < 0.1
    two = shot(scene(kind, truth, missing={1, 2}), noise=3.0)
    assert aligner(kind, alignment={"max_lost": 1}).align(two) == AlignmentFailure("fiducials 1, 2 not found")


@pytest.mark.parametrize("kind", ["cross", "template"])
@pytest.mark.parametrize("other", ["circle", "swapped", "nothing"])
def test_another_shape_is_not_a_fiducial(kind, other):
    if other == "swapped":
        other = "template" if kind == "cross" else "cross"
    image = scene(other, np.eye(2, 3)) if other != "nothing" else np.full((SIZE[1], SIZE[0]), 60.0)
    for noise in (3.0, 40.0):
        assert isinstance(aligner(kind).align(shot(image, noise=noise)), AlignmentFailure)


def test_dark_cross_is_found():
    settings = settings_of("cross")
    for mark in settings["fiducials"]:
        mark["bright"] = False
    truth = rigid(0.8, (3.25, -6.5))
    found = Aligner(Board.model_validate(settings)).align(shot(scene("cross", truth, dark=200, light=40)))
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1


def test_a_template_without_golden_or_without_a_corner_is_refused():
    board = Board.model_validate(settings_of("template"))
    with pytest.raises(RecipeError, match=r"fiducial 0: .*golden\.png"):
        Aligner(board)
    flat = np.full((SIZE[1], SIZE[0]), 90, np.uint8)
    with pytest.raises(RecipeError, match="its contrast is 0 grey levels"):
        Aligner(board, flat)
    edge = flat.copy()
    edge[:, 90:] = 200
    with pytest.raises(RecipeError, match="straight edge"):
        Aligner(board, edge)


def test_an_affine_fit_of_three_marks_is_limited_by_its_stretch():
    settings = settings_of("circle", alignment={"model": "affine"})
    settings["fiducials"] = settings["fiducials"][:3]
    sheared = np.array([[1.0, 0.08, -10.0], [0.0, 1.0, 0.0]])
    answer = Aligner(Board.model_validate(settings)).align(shot(scene("circle", sheared)))
    assert isinstance(answer, AlignmentFailure)
    assert "scale" in answer.reason


def test_board_faults_carry_their_lines(recipe_folder):
    text = (
        '{\n "frame": [640, 520],\n "fiducials": [\n'
        '  {"x": 90, "y": 80, "shape": "cross", "size": 3, "thickness": 7},\n'
        '  {"x": 560, "y": 84, "shape": "star"},\n'
        '  {"x": 86,\n   "y": "low", "radius": 12}\n ],\n'
        ' "alignment": {"max_lost": 5}\n}\n'
    )
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(text))
    for line, place_ in (
        (4, "fiducials.0.size"),
        (5, "fiducials.1"),
        (7, "fiducials.2.y"),
        (9, "alignment.max_"),
    ):
        assert f"board.json line {line}: {place_}" in caught.value.message


def test_inconsistencies_are_reported_together(recipe_folder):
    settings = settings_of("circle", alignment={"model": "affine", "max_lost": 1})
    settings["fiducials"] = settings["fiducials"][:3]
    settings["fiducials"][0]["x"] = 700
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_folder(settings))
    assert "fiducial 0 at (700, 80) lies outside" in caught.value.message
    assert "leaves 2 fiducials, but affine needs 3" in caught.value.message


def test_the_hash_covers_golden_where_places_depend_on_it(recipe_folder):
    import cv2

    def digest(kind, golden):
        folder = recipe_folder(settings_of(kind))
        cv2.imwrite(str(folder / "golden.png"), golden)
        return Recipe.load(folder).sha256

    other = GOLDEN["template"].copy()
    other[0, 0] ^= 1
    assert digest("cross", GOLDEN["template"]) == digest("cross", other)
    assert digest("template", GOLDEN["template"]) != digest("template", other)


@pytest.mark.parametrize(
    ("path", "line"), [((), 1), (("a",), 2), (("b", 1), 5), (("b", 1, "c"), 5), (("b", 7), 3), (("z",), 1)]
)
def test_line_of_a_json_value(path, line):
    assert line_of('{\n"a": "}{,",\n"b": [\n[1, 2],\n{"c": 3}\n]}', path) == line
