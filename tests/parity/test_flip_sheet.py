from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from support.tiny_bundle import HEAD, crops, formula, make_bundle
from typer.testing import CliRunner

from sji_edge.cli.commands.parity import parity
from sji_edge.core.errors import GateError, OutputError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import Comparison, compare
from sji_edge.parity.flip_sheet import MARGIN, TILE, contact_sheet, save_worst

CLASSES = ("normal", "defective")
BATCH = crops(20)


def _comparison(shift: np.ndarray) -> Comparison:
    logits = formula(BATCH).astype(np.float32)
    return compare(
        EngineOutput(logits),
        EngineOutput((logits + shift).astype(np.float32)),
        np.full(20, -1),
        classes=CLASSES,
        good_index=0,
        thresholds=Thresholds(lower=0.4, upper=0.6),
    )


def test_each_tile_shows_its_crop_worst_first() -> None:
    comparison = _comparison(np.linspace(0, 1, 20)[:, None] * [1, 0])
    sheet = contact_sheet(comparison, BATCH, CLASSES)
    width = TILE + 2 * MARGIN
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 4 * width
    height = sheet.shape[0] // 2
    for place, joint in enumerate(comparison.worst):
        top, left = place // 4 * height + MARGIN, place % 4 * width + MARGIN
        shown = sheet[top : top + TILE, left : left + TILE]
        wanted = cv2.resize(BATCH[joint.index], (TILE, TILE), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(shown, np.repeat(wanted[..., None], 3, axis=2))
        assert (sheet[top + TILE : top + TILE + 3 * 16, left : left + TILE] < 128).any()


def test_a_colour_crop_and_one_that_is_not_square_fit_their_tiles() -> None:
    comparison = _comparison(np.linspace(0, 1, 20)[:, None] * [1, 0])
    wide = np.random.default_rng(0).integers(0, 256, (20, 20, 33, 3)).astype(np.uint8)
    assert contact_sheet(comparison, wide, CLASSES).shape[1] == 4 * (TILE + 2 * MARGIN)


def test_no_crop_to_show_and_an_unwritable_folder_are_errors(tmp_path: Path) -> None:
    nothing = _comparison(np.full((20, 2), np.nan))
    with pytest.raises(GateError, match="no crop to show"):
        save_worst(tmp_path, "x", nothing, BATCH, CLASSES)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_worst(tmp_path / "file", "x", _comparison(np.zeros((20, 2))), BATCH, CLASSES)


def test_the_name_of_the_picture_stays_in_its_folder(tmp_path: Path) -> None:
    path = save_worst(tmp_path / "w", "../../a b/c", _comparison(np.zeros((20, 2))), BATCH, CLASSES)
    assert path.parent == tmp_path / "w"
    assert [entry.name for entry in (tmp_path / "w").iterdir()] == [path.name]


def test_the_command_writes_the_picture_of_a_failed_engine_too(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(parity)
    folder = make_bundle(tmp_path, engine_head=-HEAD).folder
    result = CliRunner().invoke(app, [str(folder), "--worst", str(tmp_path / "worst")])
    assert isinstance(result.exception, GateError)
    (picture,) = (tmp_path / "worst").iterdir()
    assert picture.name == "worst-tiny-golden-crops.png"
    assert cv2.imread(str(picture)) is not None
