"""Choosing and opening an engine."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import HEAD, crops, formula, make_bundle

from sji_edge.core.errors import BundleError, GateError
from sji_edge.runtime.bundle.signature import make_keys, sign
from sji_edge.workflows.engines.open import choose_bundle, open_engine


def test_an_engine_opens_by_its_folder_and_as_the_newest(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "engines").folder
    batch = crops(5, seed=3)
    for engine in (open_engine(folder, threads=1), open_engine(engines=str(tmp_path / "engines"))):
        with closing(engine):
            np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), rtol=1e-4, atol=1e-4)
    assert choose_bundle(folder).why == "as named"
    assert "the newest released onnxruntime engine" in choose_bundle(engines=tmp_path / "engines").why


def test_an_unreleased_or_unsigned_engine_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(GateError):
        open_engine(make_bundle(tmp_path, name="poor", engine_head=-HEAD).folder)
    public, _ = make_keys(tmp_path / "line.pem")
    folder = make_bundle(tmp_path, name="good").folder
    with pytest.raises(BundleError, match="not signed"):
        open_engine(folder, require_signature=public)
    sign(folder, (folder / "manifest.json").read_bytes(), tmp_path / "line.pem")
    open_engine(folder, require_signature=str(public)).close()


def test_opening_imports_neither_building_nor_training(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    program = (
        "import sys\n"
        "from sji_edge.workflows.engines.open import open_engine\n"
        f"open_engine({str(folder)!r}).close()\n"
        "names = ('torch', 'onnx', 'sji_edge.workflows.build', 'sji_edge.quantization', 'sji_edge.cli')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
