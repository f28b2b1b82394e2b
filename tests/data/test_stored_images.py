import cv2
import numpy as np
import pytest

from sji_edge.core.errors import DataError
from sji_edge.data.stored_images import StoredImages


@pytest.fixture
def files(tmp_path):
    """Seven grey images of 8 x 10 pixels, each of its own level."""
    paths = [tmp_path / f"{level}.png" for level in range(10, 80, 10)]
    for path in paths:
        cv2.imwrite(str(path), np.full((8, 10), int(path.stem), np.uint8))
    return paths


@pytest.mark.parametrize("fit", [0, 3, 7])
def test_images_beyond_the_limit_are_read_again_and_are_the_same(files, fit):
    images = StoredImages(files, memory_bytes=fit * 80)
    assert (len(images), images.in_memory) == (7, fit)
    assert [int(image[0, 0]) for image in images] == [10, 20, 30, 40, 50, 60, 70]
    assert int(images[-1].max()) == 70
    assert [int(image.max()) for image in images[5:1:-2]] == [60, 40]
    with pytest.raises(IndexError):
        images[7]
    files[0].unlink()
    files[6].unlink()
    if fit == 3:
        assert int(images[0].max()) == 10
        with pytest.raises(DataError, match=r"70\.png"):
            images[6]


def test_a_damaged_file_is_found_at_the_start_wherever_it_is(files):
    files[6].write_bytes(b"no image")
    files[2].write_bytes(b"")
    with pytest.raises(DataError, match=r"30\.png.*70\.png"):
        StoredImages(files, memory_bytes=0)
