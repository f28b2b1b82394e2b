import json
from pathlib import Path

import pytest
from support.drawn_board import JOINTS, board_settings


@pytest.fixture
def recipe_folder(tmp_path):
    """Writes a recipe folder; keyword arguments replace what it holds."""

    def write(board=None, joints=JOINTS) -> Path:
        text = board if isinstance(board, str) else json.dumps(board or board_settings())
        (tmp_path / "board.json").write_text(text)
        (tmp_path / "joints.csv").write_bytes(joints if isinstance(joints, bytes) else joints.encode())
        return tmp_path

    return write
