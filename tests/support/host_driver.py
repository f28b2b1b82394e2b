"""The CUDA driver in host memory, compiled for the processes that a test starts."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sji_edge.runtime.cuda import build as kernel_build


@pytest.fixture(scope="session")
def host_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``LD_LIBRARY_PATH``."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("driver")
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    source, target = Path(__file__).parent / "host_cuda.c", folder / "libcuda.so.1"
    words = [compiler, *flags, f"-I{kernel_build.HERE}", str(source), "-o", str(target), "-ldl", "-lm"]
    subprocess.run(words, check=True)
    return folder
