"""The driver's answers through ctypes, from a library compiled for the test with the driver's own functions."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from sji_edge.runtime.cuda.driver import ask_driver

SOURCE = """
#include <string.h>
int cuInit(unsigned flags) { return flags ? 1 : INIT; }
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDeviceGet(int *d, int i) { *d = 40 + i; return 0; }
int cuDeviceGetName(char *t, int n, int d) { strncpy(t, d == 40 ? "Orin" : "A2000", n); return 0; }
int cuDeviceTotalMem_v2(size_t *m, int d) { *m = (size_t)d << 30; return 0; }
int cuDeviceGetAttribute(int *v, int what, int d) {
    *v = what == 75 ? 8 : what == 76 ? (d == 40 ? 7 : 6) : what == 16 ? d : -1;
    return 0;
}
"""


def library(folder: Path, **defines: int):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "cuda.c").write_text(SOURCE)
    words = [f"-D{name}={value}" for name, value in defines.items()]
    subprocess.run(
        [compiler, "-w", "-shared", "-fPIC", *words, "cuda.c", "-o", "libcuda.so"], cwd=folder, check=True
    )
    return lambda name: ctypes.CDLL(str(folder / "libcuda.so"))


def test_devices_are_listed(tmp_path: Path) -> None:
    driver = ask_driver(library(tmp_path, INIT=0, COUNT=2))
    assert driver.missing == ""
    assert driver.cuda == "12.6"
    found = [(d.index, d.name, d.compute_capability, d.memory, d.multiprocessors) for d in driver.devices]
    assert found == [(0, "Orin", "8.7", 40 << 30, 40), (1, "A2000", "8.6", 41 << 30, 41)]


@pytest.mark.parametrize(
    ("init", "count", "says"),
    [(100, 0, "no NVIDIA GPU"), (0, 0, "no NVIDIA GPU"), (34, 0, "stub"), (7, 0, "7")],
)
def test_the_message_names_what_is_missing(init: int, count: int, says: str, tmp_path: Path) -> None:
    driver = ask_driver(library(tmp_path, INIT=init, COUNT=count))
    assert says in driver.missing
    assert driver.devices == ()


def test_without_a_library_there_is_no_driver() -> None:
    def absent(name: str):
        raise OSError(name)

    assert "no NVIDIA driver" in ask_driver(absent).missing
    assert ask_driver(absent).cuda == ""
