"""``scripts/gpu_check.sh`` as a whole, on the driver in host memory, with ONNX Runtime in TensorRT's place."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from support.bright_model import PLACES, board_image, write_recipe
from support.small_workshop import write_workshop

from sji_edge.runtime.tensorrt.backend import this_driver
from sji_edge.workflows.calibrate import calibrate

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"
IN_ORDER = [
    "driver", "doctor", "mig", "kernel-cubin", "kernel-ptx", "kernel-sanitizer", "host-side", "illegal-access",
    "broken-capture", "build-fp32", "build-fp16", "build-int8", "parity-fp32", "parity-fp16", "parity-int8", "engines",
    "pytorch", "open-close", "loop", "build-reference", "infer-onnxruntime-fp32", "infer-tensorrt-fp32",
    "infer-tensorrt-fp16", "infer-tensorrt-int8", "verdicts",
]  # fmt: skip
NOT_HERE = {"mig", "kernel-sanitizer", "pytorch"}
"""Steps for which this machine may lack what they ask."""


@pytest.fixture
def material(tmp_path: Path) -> list[str]:
    workshop = write_workshop(tmp_path / "small")
    data = tmp_path / "data"
    data.mkdir()
    (workshop / "data").rename(data / "solder-joints")
    write_recipe(data / "boards")
    for number in range(3):
        board = board_image(dict.fromkeys(PLACES, 60 + 60 * number))
        cv2.imwrite(str(data / "boards" / f"board{number:02d}.png"), board)
    run = workshop / "runs" / "small"
    calibrate(data / "solder-joints", run=run, name="set", calibration=tmp_path / "calibration", count=32)
    paths = {"--run": run, "--calibration": tmp_path / "calibration" / "set", "--data": data}
    return [str(word) for pair in {**paths, "--out": tmp_path / "out"}.items() for word in pair]


def check(host_driver: Path | None, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = [
        ROOT / "tests" / "support" / "host_site",
        ROOT / "tests",
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    given = {"PYTHONPATH": os.pathsep.join(map(str, path)), "LD_LIBRARY_PATH": str(host_driver or "")}
    return subprocess.run(
        [SCRIPT, *words],
        env={**os.environ, **given, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.skipif(not this_driver().missing, reason="there is a GPU")
def test_without_a_gpu_it_ends_at_once_and_leaves_a_report(tmp_path: Path) -> None:
    words = ["--run", "r", "--calibration", "c", "--data", "d", "--out", str(tmp_path / "out")]
    done = check(None, *words, PYTHONPATH="")
    assert done.returncode == 5, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(step["name"], step["result"]) for step in report["steps"]] == [("driver", "failed")]
    assert not report["passed"]


@pytest.mark.slow
def test_every_step_passes_on_the_driver_in_host_memory(host_driver: Path, material, tmp_path: Path) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("pycuda", "cuda")):
        pytest.skip("pycuda and cuda-bindings are not installed")
    done = check(host_driver, *material, "--frames", "20", "--no-time-limits", HOST_CUDA_CAPABILITY="90")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [step["name"] for step in report["steps"]] == IN_ORDER
    skipped = {step["name"] for step in report["steps"] if step["result"] == "skipped"}
    assert skipped <= NOT_HERE
    assert report["passed"]
    facts = {step["name"]: step["facts"] for step in report["steps"]}
    assert facts["driver"]["devices"][0]["name"] == "Host CUDA"
    assert facts["kernel-ptx"]["ptx"] == 90
    assert facts["verdicts"]["tensorrt-fp32"] == {"joints": 15, "flips": 0}
    assert [row["engine"] for row in report["loop"]] == ["tensorrt-fp32", "tensorrt-fp16", "tensorrt-int8"]


@pytest.mark.slow
def test_it_goes_on_after_a_failure(host_driver: Path, material, tmp_path: Path) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("pycuda", "cuda")):
        pytest.skip("pycuda and cuda-bindings are not installed")
    material[1] = str(tmp_path / "no run")
    done = check(host_driver, *material, "--only", "driver", "build-fp32", "parity-fp32", "host-side")
    assert done.returncode == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    results = [(step["name"], step["result"]) for step in report["steps"]]
    assert results == [
        ("driver", "passed"), ("host-side", "passed"), ("build-fp32", "failed"), ("parity-fp32", "skipped"),
    ]  # fmt: skip
