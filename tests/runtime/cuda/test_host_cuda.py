"""The real pycuda and cuda-bindings on a CUDA driver in host memory, in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "support"
# pycuda refers to more of the driver than is used: what is missing matters when it is called.
RUN = "import sys, os; sys.setdlopenflags(os.RTLD_LAZY); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in modules)


def run(folder: Path, *words: str, cases: Path = SUPPORT / "host_cuda_cases.py") -> None:
    path = os.pathsep.join([str(SUPPORT.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-q", "-p", "no:cacheprovider", str(cases), *words],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": path},
        cwd=SUPPORT.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_cuda_bindings_record_on_a_streams_handle(host_driver: Path) -> None:
    if not has("cuda", "cuda.bindings"):
        pytest.skip("cuda-bindings is not installed")
    run(host_driver, "-k", "cuda_bindings_alone or driver_says or doctor")


def test_the_engine_runs_on_pycuda(host_driver: Path) -> None:
    if not has("pycuda", "cuda", "cuda.bindings"):
        pytest.skip(
            "pycuda and cuda-bindings are not installed: pip install 'sji-edge[cuda]', needs CUDA's headers"
        )
    run(host_driver)


@pytest.mark.slow
@pytest.mark.skipif("SJI_DATA" not in os.environ, reason="SJI_DATA names no real data")
def test_the_gpus_own_tests_run_but_for_the_package_and_the_machine(host_driver: Path) -> None:
    if not has("pycuda", "cuda", "cuda.bindings"):
        pytest.skip("pycuda and cuda-bindings are not installed")
    words = ("-p", "support.host_tensorrt", "-m", "gpu", "-k", "not tensorrt-rtx and not pytorch")
    run(host_driver, *words, cases=SUPPORT.parent / "gpu")
