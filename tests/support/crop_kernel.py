"""The crop kernel's per-pixel function, compiled by g++ for the host."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.runtime.cuda import build as kernel_build
from sji_edge.runtime.cuda.crop_kernel import to_fixed

HOST = """
#include "crop_pixel.h"
extern "C" void crop_batch(const unsigned char *pixels, int frame_height, int frame_width, int frame_channels,
                           const SjiCoordinate *maps, unsigned char *crops, int count, int height, int width,
                           int channels) {
    const SjiFrame frame = {pixels, frame_height, frame_width, frame_channels};
    for (int crop = 0; crop < count; ++crop)
        for (int row = 0; row < height; ++row)
            for (int column = 0; column < width; ++column)
                for (int channel = 0; channel < channels; ++channel)
                    *crops++ = sji_crop_pixel(frame, maps + 6 * crop, row, column, channel, channels);
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory):
    """``(frame, maps, spec) -> crops`` by the shared source; maps as float64, or as the kernel takes them."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "host.cpp").write_text(HOST)
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{kernel_build.HERE}"]
    subprocess.run([compiler, *flags, "host.cpp", "-o", "host.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "host.so"))

    def cut(frame: np.ndarray, maps: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
        out = np.empty((len(maps), *spec.shape), np.uint8)
        given = maps if maps.dtype == np.int64 else to_fixed(maps)
        address = [array.ctypes.data_as(ctypes.c_void_p) for array in (frame, given, out)]
        planes = 1 if frame.ndim == 2 else 3
        library.crop_batch(
            address[0], *frame.shape[:2], planes, address[1], address[2], len(maps), *spec.shape
        )
        return out

    return cut
