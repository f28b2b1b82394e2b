"""What an edge box does without the extras, and which one it names for the rest."""

import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import crops, formula, make_bundle

from sji_edge.core import extras
from sji_edge.core.errors import BundleError, MissingExtraError
from sji_edge.runtime.bundle.archive import pack, unpack
from sji_edge.runtime.bundle.bundle import open_bundle, open_reference, verify_bundle
from sji_edge.runtime.bundle.selection import choose_engine
from sji_edge.workflows.engines.manage import sign_engine

OPTIONAL = ("onnxruntime", "cryptography", "zstandard", "onnx", "torch")


@pytest.fixture
def base_only(monkeypatch):
    """A machine on which no extra is installed."""
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name in OPTIONAL else name)


def test_the_reference_runs_in_openvino_where_onnx_runtime_is_missing(tmp_path: Path, monkeypatch) -> None:
    bundle = make_bundle(tmp_path, backend="openvino")
    found, batch = {}, crops(5, seed=3)
    for installed in (True, False):
        monkeypatch.setattr("sji_edge.runtime.bundle.bundle.installed", lambda _, there=installed: there)
        with closing(open_reference(bundle)) as reference:
            found[reference.spec.backend] = reference.infer(batch).logits
    assert sorted(found) == ["onnxruntime", "openvino"]
    for logits in found.values():
        np.testing.assert_allclose(logits, formula(batch), rtol=1e-4, atol=1e-4)


def test_what_needs_an_extra_names_it_and_leaves_nothing_behind(tmp_path: Path, request) -> None:
    bundle = make_bundle(tmp_path, backend="openvino").folder
    request.getfixturevalue("base_only")
    archive, key = tmp_path / "tiny.tar.zst", tmp_path / "line.pem"
    for call in (
        lambda: pack(bundle, archive),
        lambda: sign_engine(bundle, key),
        lambda: verify_bundle(bundle, require_signature=key),
    ):
        with pytest.raises(MissingExtraError) as caught:
            call()
        assert caught.value.hint == "pip install 'sji-edge[ship]'"
    assert not archive.exists()
    pack(bundle, tmp_path / "tiny.zip")
    assert unpack(tmp_path / "tiny.zip", tmp_path / "unpacked").folder.is_dir()


def test_an_engine_of_a_runtime_that_is_missing_names_its_extra(tmp_path: Path, request) -> None:
    bundle = make_bundle(tmp_path, backend="onnxruntime").folder
    request.getfixturevalue("base_only")
    with pytest.raises(MissingExtraError) as caught:
        open_bundle(bundle)
    assert caught.value.hint == "pip install 'sji-edge[onnxruntime]'"
    with pytest.raises(BundleError, match=r"pip install 'sji-edge\[onnxruntime\]'"):
        choose_engine(bundle.parent)


@pytest.mark.usefixtures("base_only")
def test_the_training_extra_covers_those_within_it() -> None:
    with pytest.raises(MissingExtraError) as caught:
        extras.require(*OPTIONAL, purpose="a test")
    assert caught.value.hint == "pip install 'sji-edge[train]'"


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    offered = project["optional-dependencies"]
    assert set(extras.EXTRA_OF.values()) <= set(offered)
    assert f"sji-edge[{','.join(sorted(extras.WITHIN_TRAIN))}]" in offered["train"]
    base = {line.split(">")[0] for line in project["dependencies"]}
    assert base.isdisjoint(extras.EXTRA_OF)


def test_judging_imports_no_extra() -> None:
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
        "import sji_edge.cli.render.live, sji_edge.workflows.inspect.run, sji_edge.workflows.engines.golden_check\n"
        "import sji_edge.workflows.compare.compare, sji_edge.workflows.engines.manage\n"
        "from sji_edge.cli.app import application\n"
        "application()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
