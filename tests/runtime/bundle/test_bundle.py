import errno
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import HEAD, card, crops, formula, make_bundle

from sji_edge.core.errors import BundleError, GateError, OutputError, SjiError
from sji_edge.core.files import sha256_of
from sji_edge.runtime.bundle.bundle import (
    environment_changes,
    open_bundle,
    open_engine,
    write_bundle,
)
from sji_edge.runtime.bundle.golden import Golden, read_golden, write_golden
from sji_edge.runtime.bundle.manifest import BundleFacts
from sji_edge.runtime.host_cpu import INT8_WEIGHT_BITS
from sji_edge.workflows.engines.manage import state_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def _edit(
    folder: Path, change: Callable[[dict], object], file: str = "manifest.json", rehash: bool = False
) -> None:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    if rehash:
        _rehash(folder, file)


def _rehash(folder: Path, file: str) -> None:
    """A forger's step: make the manifest agree with an altered file."""
    entry = {"sha256": sha256_of(folder / file), "size": (folder / file).stat().st_size}
    _edit(folder, lambda manifest: manifest["files"].update({file: entry}))


def _refused(folder: Path, kind: type[SjiError], says: str) -> None:
    with pytest.raises(kind) as caught:
        open_bundle(folder)
    assert caught.type is kind
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_released_bundle_opens_and_judges_as_the_formula(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.manifest.released
    assert bundle.engine_sha256 == sha256_of(folder / "engine.onnx")
    assert bundle.card == card()
    assert bundle.preprocess.shape == (16, 16, 1)
    engine = open_engine(bundle, threads=1)
    np.testing.assert_allclose(engine.infer(crops(3)).logits, formula(crops(3)), atol=2e-5)
    assert environment_changes(bundle) == []
    np.testing.assert_array_equal(bundle.golden().crops, crops(40))


def test_the_weight_bits_do_not_count_as_another_machine(folder: Path) -> None:
    _edit(folder, lambda manifest: manifest["environment"].update({INT8_WEIGHT_BITS: "7"}))
    assert environment_changes(open_bundle(folder)) == []
    assert state_of(open_bundle(folder)) == "released"
    _edit(folder, lambda manifest: manifest["environment"].update(cpu="Another CPU"))
    assert [change.split(" there")[0] for change in environment_changes(open_bundle(folder))] == [
        "cpu: Another CPU"
    ]
    assert state_of(open_bundle(folder)) == "released, proven on another machine"


FILES = ["model.onnx", "engine.onnx", "golden.npz", "parity.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_one_altered_byte_anywhere_is_refused(file: str, place: float, folder: Path) -> None:
    content = bytearray((folder / file).read_bytes())
    content[int(place * len(content)) if place >= 0 else -1] ^= 1
    (folder / file).write_bytes(content)
    _refused(folder, BundleError, f"{file} was altered")


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_refused(file: str, folder: Path) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    _refused(folder, BundleError, f"{file} was altered")


@pytest.mark.parametrize("file", ["model.onnx", "engine.onnx", "golden.npz"])
def test_a_missing_file_is_refused(file: str, folder: Path) -> None:
    (folder / file).unlink()
    _refused(folder, BundleError, f"lacks {file}")


def test_a_missing_parity_record_is_not_released(folder: Path) -> None:
    (folder / "parity.json").unlink()
    _refused(folder, GateError, "no parity record")


def test_a_missing_manifest_and_a_missing_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    _refused(folder, BundleError, "manifest.json")
    _refused(tmp_path / "none", BundleError, "there is no engine bundle")


def test_what_a_user_names_in_place_of_a_bundle_leads_to_one(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "card.json").write_text("{}")
    for named, says, hint in (
        (run, "is a run", f"sji-edge build-engine {run}"),
        (folder.parent, "holds no manifest.json", f"name one of the bundles in it: {folder.name}"),
        (tmp_path / "runs", "holds no manifest.json", "sji-edge engine list"),
        (folder / "engine.onnx", "not a folder", "the folder that holds it"),
        (tmp_path / "none", "there is no engine bundle", "sji-edge engine list"),
    ):
        with pytest.raises(BundleError, match=says) as caught:
            open_bundle(named)
        assert hint in caught.value.hint


def test_a_truncated_manifest_is_refused(folder: Path) -> None:
    text = (folder / "manifest.json").read_bytes()
    for length in (0, 1, 100, len(text) - 3):
        (folder / "manifest.json").write_bytes(text[:length])
        _refused(folder, BundleError, "manifest")


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'"a"'])
def test_a_manifest_that_is_another_thing_is_refused(content: bytes, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(content)
    _refused(folder, BundleError, "manifest")


@pytest.mark.parametrize("version", [0, 2, "1", None, {}])
def test_another_schema_is_refused(version: object, folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(schema_version=version))
    _refused(folder, BundleError, "schema version")


def test_an_extra_file_is_refused(folder: Path) -> None:
    (folder / "plugin.so").write_bytes(b"")
    _refused(folder, BundleError, "plugin.so")


def test_an_extra_link_is_refused(folder: Path) -> None:
    (folder / "extra").symlink_to("/etc/hostname")
    _refused(folder, BundleError, "extra")


@pytest.mark.parametrize("file", [*FILES, "manifest.json"])
def test_a_link_in_place_of_a_file_is_refused(file: str, folder: Path, tmp_path: Path) -> None:
    (folder / file).rename(tmp_path / file)
    (folder / file).symlink_to(tmp_path / file)
    _refused(folder, BundleError, "not a plain file")


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "engine.onnx").unlink()
    (folder / "engine.onnx").mkdir()
    _refused(folder, BundleError, "not a plain file")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "manifest.json", "x\n"]
)
def test_a_manifest_that_names_a_file_outside_is_refused(name: str, folder: Path) -> None:
    entry = {"sha256": "0" * 64, "size": 0}
    _edit(folder, lambda manifest: manifest["files"].update({name: entry}))
    _refused(folder, BundleError, "a bundle cannot hold a file called")


@pytest.mark.parametrize("name", ["../x", "model.onnx", "engine.plan"])
def test_an_engine_file_that_is_none_is_refused(name: str, folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(engine_file=name))
    _refused(folder, BundleError, "manifest")


@pytest.mark.parametrize(
    "change",
    [
        {"max_batch": 0},
        {"released": "perhaps"},
        {"unknown": 1},
        {"files": {}},
        {"thresholds": {"lower": 0.9, "upper": 0.1}},
        {"card": {}},
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(change: dict, folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(change))
    _refused(folder, BundleError, "not a valid manifest")


def test_another_backend_is_refused(folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(backend="onnxruntim"))
    _refused(folder, BundleError, "unknown backend 'onnxruntim'")


def test_a_precision_that_this_machine_lacks_is_refused(folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(precision="bf16"))
    _refused(folder, BundleError, "cannot run here")


def test_a_failed_engine_is_written_unreleased_and_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, engine_head=-HEAD)
    assert not bundle.manifest.released
    _refused(bundle.folder, GateError, "is not released")
    assert open_bundle(bundle.folder, require_released=False).parity.failures


def test_a_forged_release_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, engine_head=-HEAD).folder
    _edit(folder, lambda manifest: manifest.update(released=True))
    _refused(folder, BundleError, "its parity record is for an engine that failed")
    _edit(folder, lambda parity: parity.update(passed=True), "parity.json", rehash=True)
    _refused(folder, BundleError, "contradict")


def test_a_parity_record_of_another_engine_is_refused(folder: Path) -> None:
    content = (folder / "engine.onnx").read_bytes()
    (folder / "engine.onnx").write_bytes(content + b"\x00")
    _rehash(folder, "engine.onnx")
    _refused(folder, BundleError, "was altered: its parity record is for another engine")


def test_a_parity_record_at_other_thresholds_is_refused(folder: Path) -> None:
    _edit(folder, lambda manifest: manifest.update(thresholds={"lower": 0.9, "upper": 0.9}))
    _refused(folder, BundleError, "was altered: its parity record is for other thresholds")


def test_a_parity_record_over_no_joint_is_refused(folder: Path) -> None:
    _edit(folder, lambda parity: parity.update(joints=0), "parity.json", rehash=True)
    _refused(folder, BundleError, "parity record")


def test_a_card_for_another_crop_is_refused_on_open(folder: Path) -> None:
    _edit(folder, lambda manifest: manifest["card"]["preprocess"].update(height=32))
    with pytest.raises(BundleError, match="its card says"):
        open_engine(open_bundle(folder))
    with pytest.raises(BundleError, match="crops must be uint8"):
        open_bundle(folder).golden()


def test_nothing_is_overwritten_and_a_foreign_record_leaves_nothing_behind(
    made: Path, tmp_path: Path
) -> None:
    bundle = open_bundle(made)
    facts = BundleFacts(**{name: getattr(bundle.manifest, name) for name in BundleFacts.model_fields})
    files = {"reference": bundle.reference_path, "engine": bundle.engine_path, "golden": made / "golden.npz"}
    with pytest.raises(OutputError, match="already exists"):
        write_bundle(made, facts, parity=bundle.parity, **files)
    foreign = bundle.parity.model_copy(update={"engine_sha256": "0" * 64})
    with pytest.raises(BundleError, match="another engine"):
        write_bundle(tmp_path / "new", facts, parity=foreign, **files)
    assert list(tmp_path.iterdir()) == []


def _golden(**changes: np.ndarray) -> Golden:
    arrays = {"crops": crops(4), "logits": np.zeros((4, 2), np.float32), "labels": np.array([0, 1, -1, 0])}
    return Golden(**{**arrays, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crops": crops(4).astype(np.float32)}, "crops must be uint8"),
        ({"crops": crops(3)}, "logits must be float32"),
        ({"logits": np.zeros((4, 3), np.float32)}, "logits must be float32"),
        ({"logits": np.full((4, 2), np.nan, np.float32)}, "logits must be finite"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels must be from"),
        ({"labels": np.array([0, 1, -2, 0])}, "labels must be from"),
    ],
)
def test_golden_arrays_that_do_not_fit_are_refused(changes: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=says):
        write_golden(tmp_path / "golden.npz", _golden(**changes), card())
    assert not (tmp_path / "golden.npz").exists()


def test_golden_crops_return_as_written_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    write_golden(path, _golden(), card())
    again = read_golden(path, card())
    np.testing.assert_array_equal(again.crops, crops(4))
    np.testing.assert_array_equal(again.labels, [0, 1, -1, 0])
    np.savez(path, crops=np.array([object()]), logits=np.zeros(1), labels=np.zeros(1))
    with pytest.raises(BundleError, match="not a file of golden crops"):
        read_golden(path, card())
    for content in (b"", b"PK\x03\x04", b"text"):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="not a file of golden crops"):
            read_golden(path, card())


def _npz(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


ODD = {
    "empty": b"",
    "not a zip": b"x" * 100,
    "a bare array": _npy(np.zeros(3)),
    "an entry without a header": _npz(crops=b"abc", logits=b"abc", labels=b"abc"),
    "a scalar": _npz(crops=_npy(np.array(1)), logits=_npy(np.array(1)), labels=_npy(np.array(1))),
    "a header that is no Python": _npz(crops=_header("{{{{"), logits=b"", labels=b""),
    "a header nested without end": _npz(crops=_header("(" * 3000), logits=b"", labels=b""),
    "more data than there is memory": _npz(
        crops=_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1152921504606846976,)}"),
        logits=b"",
        labels=b"",
    ),
    "a negative shape": _npz(
        crops=_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 3)}"), logits=b"", labels=b""
    ),
    "an unknown type": _npz(
        crops=_header("{'descr': 'q99', 'fortran_order': False, 'shape': (1,)}"), logits=b"", labels=b""
    ),
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_an_odd_golden_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(ODD[name])
    with pytest.raises(BundleError, match=r"golden\.npz") as caught:
        read_golden(path, card())
    assert "\n" not in caught.value.message


def test_a_bundle_that_cannot_be_written_is_an_output_error(made: Path, tmp_path: Path, monkeypatch) -> None:
    bundle = open_bundle(made)
    facts = BundleFacts(**{name: getattr(bundle.manifest, name) for name in BundleFacts.model_fields})
    files = {"reference": bundle.reference_path, "engine": bundle.engine_path, "golden": made / "golden.npz"}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_bundle(tmp_path / "new", facts, parity=bundle.parity, **files)
    assert list(tmp_path.iterdir()) == []
