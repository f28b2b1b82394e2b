import numpy as np
import pytest

from sji_edge.core.errors import UsageError
from sji_edge.data.synthetic.boards import SyntheticBoards, write_recipe
from sji_edge.inspection.judging.skip_marks import SkipMarks
from sji_edge.recipe.align.alignment import Aligner
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.codes.reader import CodeReader
from sji_edge.testing import FakeClock


@pytest.mark.parametrize("kind", ["data-matrix", "qr"])
def test_each_board_shows_its_own_serial_number_where_the_recipe_says(tmp_path, kind):
    boards = SyntheticBoards(3, joints=4, code=kind)
    write_recipe(tmp_path, boards)
    recipe = Recipe.load(tmp_path)
    assert recipe.board.code is not None
    assert len(recipe.joints) == 4
    reader = CodeReader(recipe.board.code, recipe.board.serial, FakeClock())
    aligner = Aligner(recipe.board, recipe.golden)
    for index in (0, 5):
        frame = boards.render(index).image
        assert reader.read(frame, aligner.align(frame).matrix).text == boards.serial(index)
    assert boards.serial(0) != boards.serial(5)


def test_boards_without_a_code_are_the_same_as_ever():
    assert np.array_equal(SyntheticBoards(3, joints=4).golden, SyntheticBoards(3, joints=4, code=None).golden)
    assert "code" not in SyntheticBoards(3, joints=4).board


def test_each_unit_of_a_panel_shows_its_own_serial_number_and_its_skip_mark(tmp_path):
    boards = SyntheticBoards(3, joints=16, code="data-matrix", panel=(2, 2), skip_rate=0.5)
    write_recipe(tmp_path, boards)
    recipe = Recipe.load(tmp_path)
    units = recipe.board.units
    assert [unit.name for unit in units] == ["U1", "U2", "U3", "U4"]
    assert len(recipe.joints) == 16
    aligner, marks = Aligner(recipe.board, recipe.golden), SkipMarks(units, recipe.golden)
    seen = []
    for index in range(4):
        frame = boards.render(index).image
        matrix = aligner.align(frame).matrix
        found = marks.find(frame, matrix)
        assert found.skipped.tolist() == list(boards.skipped(index))
        assert not found.unclear
        seen += found.skipped.tolist()
        for unit, wanted in zip(units, boards.markings.serials(boards.serial(index)), strict=True):
            assert CodeReader(unit.code, recipe.board.serial, FakeClock()).read(frame, matrix).text == wanted
    assert 0 < sum(seen) < len(seen)


def test_a_panel_with_too_few_joints_is_refused():
    with pytest.raises(UsageError, match="needs more joints"):
        SyntheticBoards(3, joints=2, panel=(4, 4))
