"""The verified bytes are the ones that are loaded, whatever happens to the files meanwhile."""

import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import HEAD, THRESHOLDS, crops, formula, make_bundle

from sji_edge.core import files
from sji_edge.core.errors import BundleError
from sji_edge.runtime.bundle import bundle as bundle_module
from sji_edge.runtime.bundle import verification
from sji_edge.runtime.bundle.bundle import open_bundle, open_engine, open_reference, verify_bundle
from sji_edge.runtime.bundle.signature import check_signature, make_keys, sign
from sji_edge.workflows.engines.prove_here import adopt

BACKENDS = ["onnxruntime", "openvino"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_engine_swapped_after_it_was_verified_is_refused(tmp_path: Path, backend: str) -> None:
    own = make_bundle(tmp_path, backend=backend)
    other = make_bundle(tmp_path, backend=backend, name="other", engine_head=-HEAD)
    opened = open_bundle(own.folder)
    own.engine_path.write_bytes(other.engine_path.read_bytes())
    with pytest.raises(BundleError, match=r"engine\.onnx was altered"):
        open_engine(opened)
    own.reference_path.write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx was altered"):
        open_reference(opened)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_engine_swapped_while_it_is_loaded_does_not_run(tmp_path: Path, backend: str, monkeypatch) -> None:
    own = make_bundle(tmp_path, backend=backend)
    poor = make_bundle(tmp_path, backend=backend, name="poor", engine_head=-HEAD).engine_path.read_bytes()
    opened = open_bundle(own.folder)
    swapped = []

    def read_then_swap(path: Path, limit: int, **how: object) -> bytes:
        content = files.read_bounded(path, limit, **how)
        if path == own.engine_path:
            path.write_bytes(poor)
            swapped.append(path)
        return content

    monkeypatch.setattr(verification, "read_bounded", read_then_swap)
    batch = crops(6, seed=4)
    with closing(open_engine(opened)) as engine:
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), rtol=1e-4, atol=1e-4)
    assert swapped == [own.engine_path]


def test_a_manifest_swapped_after_its_signature_was_checked_is_not_used(tmp_path: Path, monkeypatch) -> None:
    own = make_bundle(tmp_path)
    public, _ = make_keys(tmp_path / "line.pem")
    sign(own.folder, own.manifest_bytes, tmp_path / "line.pem")
    path = own.folder / "manifest.json"

    def read_then_swap(read: Path, limit: int, **how: object) -> bytes:
        content = files.read_bounded(read, limit, **how)
        if read == path:
            changed = json.loads(content)
            changed["thresholds"] = {"lower": 1.0, "upper": 1.0}
            path.write_text(json.dumps(changed))
        return content

    monkeypatch.setattr(bundle_module, "read_bounded", read_then_swap)
    assert verify_bundle(own.folder, require_signature=public).thresholds == THRESHOLDS
    monkeypatch.undo()
    with pytest.raises(BundleError, match="altered since"):
        verify_bundle(own.folder, require_signature=public)


def test_the_manifest_that_was_verified_is_the_one_that_is_signed(tmp_path: Path) -> None:
    own = make_bundle(tmp_path)
    public, _ = make_keys(tmp_path / "line.pem")
    path = own.folder / "manifest.json"
    genuine = path.read_bytes()
    path.write_bytes(genuine.replace(b"0.4", b"0.9"))
    sign(own.folder, own.manifest_bytes, tmp_path / "line.pem")
    with pytest.raises(BundleError, match="altered since"):
        check_signature(own.folder, path.read_bytes(), public)
    check_signature(own.folder, genuine, public)


def test_a_bundle_made_from_another_takes_the_verified_files(tmp_path: Path) -> None:
    own = make_bundle(tmp_path / "engines")
    other = make_bundle(tmp_path, name="other", engine_head=-HEAD)
    own.engine_path.write_bytes(other.engine_path.read_bytes())
    with pytest.raises(BundleError, match="altered"):
        adopt(own, rebuild=False, name="new")
    assert sorted(path.name for path in (tmp_path / "engines").glob("*")) == ["tiny", "work-tiny"]


@pytest.mark.parametrize(
    "field",
    ["classes", "good_class", "preprocess", "thresholds", "reference_thresholds", "max_batch", "precision"],
)
def test_everything_that_changes_a_verdict_is_signed(tmp_path: Path, field: str) -> None:
    own = make_bundle(tmp_path)
    public, _ = make_keys(tmp_path / "line.pem")
    sign(own.folder, own.manifest_bytes, tmp_path / "line.pem")
    path = own.folder / "manifest.json"
    content = json.loads(path.read_bytes())
    change = {
        "classes": lambda: content["card"]["classes"].reverse(),
        "good_class": lambda: content["card"].update(good_class="defective"),
        "preprocess": lambda: content["card"]["preprocess"].update(height=32),
        "thresholds": lambda: content["thresholds"].update(upper=1.0),
        "reference_thresholds": lambda: content["reference_thresholds"].update(upper=1.0),
        "max_batch": lambda: content.update(max_batch=1),
        "precision": lambda: content.update(precision="int8"),
    }
    change[field]()
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="altered since"):
        verify_bundle(own.folder, require_signature=public)


@pytest.mark.parametrize("kind", ["pipe", "deep", "huge", "device"])
def test_an_odd_manifest_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    folder = make_bundle(tmp_path).folder
    path = folder / "manifest.json"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(40 << 30)
    else:
        path.write_text("[" * 100_000)
    with pytest.raises(BundleError):
        verify_bundle(folder)
    for choose in (open_bundle, verify_bundle):
        with pytest.raises(BundleError):
            choose(folder, require_released=False)
