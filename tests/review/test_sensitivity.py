"""The map shows the part of a joint that an engine's answer depends on."""

import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import RoiPx
from sji_edge.core.protocols import EngineOutput, EngineSpec
from sji_edge.review.pictures import NoPictureError
from sji_edge.review.sensitivity import Explainer

SPEC = PreprocessSpec(height=32, width=32, channels=1)
CORNER = (slice(20, 32), slice(20, 32))


class CornerEngine:
    """Its score rises with the brightness of the lower right corner, and nothing else."""

    spec = EngineSpec((32, 32, 1), 2, 16, "test", "fp32")

    def infer(self, crops):
        assert 1 <= len(crops) <= 16
        assert crops.flags.c_contiguous
        bright = crops[:, *CORNER, 0].mean(axis=(1, 2)) / 255
        return EngineOutput(np.stack([-4 * bright, 4 * bright], axis=1).astype(np.float32))

    def close(self):
        self.closed = True


@pytest.fixture
def explainer():
    return Explainer(CornerEngine(), SPEC, 0, "e" * 64)


def bright_corner():
    crop = np.full((32, 32, 1), 40, np.uint8)
    crop[CORNER] = 250
    return crop


def test_the_part_that_decides_is_warm_and_the_rest_is_cold(explainer):
    heat = explainer.heat(bright_corner(), novelty=False)
    assert heat.shape == (32, 32)
    assert heat[26, 26] > 0.9
    assert heat[:14, :14].max() < 0.05


def test_a_crop_on_whose_parts_nothing_depends_is_cold_everywhere(explainer):
    assert explainer.heat(np.full((32, 32, 1), 90, np.uint8), novelty=False).max() == 0.0


def test_the_map_lies_where_the_joint_lies(explainer):
    board = np.full((200, 200), 40, np.uint8)
    board[100 + 4 : 100 + 16, 100 + 4 : 100 + 16] = 250
    shown = explainer.picture(board, RoiPx(99.5, 99.5, 32, 32), novelty=False).astype(int)
    colour = np.abs(shown[..., 2] - shown[..., 0])
    # The box fills the middle half of the picture; its lower right quarter decides.
    assert colour[250:350, 250:350].mean() > 10 * max(1.0, colour[:120].mean())
    assert shown.shape == (480, 480, 3)


def test_an_engine_without_a_guard_has_no_map_of_the_novelty(explainer):
    with pytest.raises(NoPictureError, match="no guard"):
        explainer.heat(bright_corner(), novelty=True)
