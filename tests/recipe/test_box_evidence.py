import numpy as np
import pytest

from sji_edge.recipe.box_evidence import FLAT_LEVELS, concentrations, contrasts


@pytest.fixture
def golden():
    """A bright pad of 40 x 20 px, centred at (100, 60), on a noisy board."""
    image = np.random.default_rng(0).normal(60, 2, (200, 200))
    image[50:70, 80:120] = 200
    return image.clip(0, 255).astype(np.uint8)


def box(x, y, width=44, height=24, degrees=0.0):
    return np.array([[x, y, width, height, np.radians(degrees)]])


def test_a_box_on_a_pad_has_its_contrast_and_one_beside_it_none(golden):
    assert contrasts(golden, box(99.5, 59.5, 80, 40))[0] == pytest.approx(140, abs=8)
    assert contrasts(golden, box(40, 150))[0] < FLAT_LEVELS
    assert contrasts(golden, box(-5, 60))[0] == contrasts(golden, box(100, 250))[0] == 0


@pytest.mark.parametrize("size", [(40, 20), (44, 24), (56, 28)])
def test_structure_is_concentrated_where_the_box_lies_on_its_pad(golden, size):
    right = concentrations(golden, box(99.5, 59.5, *size))[0]
    for wrong in (box(125, 59.5, *size), box(99.5, 75, *size), box(99.5, 59.5, *size, degrees=90)):
        assert right > concentrations(golden, wrong)[0] + 0.1
