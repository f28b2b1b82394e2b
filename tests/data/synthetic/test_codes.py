import numpy as np
import pytest

from sji_edge.data.synthetic.boards import SyntheticBoards, write_recipe
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
