"""Corrupt, truncated, swapped and wrong-device bundles, as the command line says it: one clear line each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import HEAD, make_bundle

from sji_edge.cli.main import run
from sji_edge.core.files import sha256_of
from sji_edge.runtime.host_cpu import int8_incompatibility

Damage = Callable[[Path, Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and another one of the same shape with other weights."""
    root = tmp_path_factory.mktemp("engines")
    own = make_bundle(root, engine_head=HEAD * np.float32(1 + 1e-5), name="one").folder
    return own, make_bundle(root, engine_head=-HEAD, name="two").folder


def _write(folder: Path, file: str, content: bytes, *, forged: bool = False) -> None:
    (folder / file).write_bytes(content)
    if forged:
        _forge(folder, file)


def _forge(folder: Path, file: str) -> None:
    """Make the manifest, and a parity record over the engine, agree with an altered file."""
    digest = sha256_of(folder / file)
    _edit(folder, files={file: {"sha256": digest, "size": (folder / file).stat().st_size}})
    key = {"engine.onnx": "engine_sha256", "model.onnx": "reference_sha256", "golden.npz": "golden_sha256"}
    if file in key:
        parity = json.loads((folder / "parity.json").read_text()) | {key[file]: digest}
        _write(folder, "parity.json", json.dumps(parity).encode(), forged=True)


def _edit(folder: Path, *, files: dict[str, object] | None = None, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    manifest["files"] |= files or {}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _card(folder: Path, **changes: object) -> None:
    _edit(folder, card=json.loads((folder / "manifest.json").read_text())["card"] | changes)


def _flip(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)


def _exchange(folder: Path, one: str, other: str) -> None:
    contents = (folder / one).read_bytes(), (folder / other).read_bytes()
    (folder / other).write_bytes(contents[0])
    (folder / one).write_bytes(contents[1])


def _plan(folder: Path) -> None:
    """An engine of another backend's kind under a manifest that agrees with it."""
    (folder / "engine.onnx").rename(folder / "engine.plan")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["engine.plan"] = manifest["files"].pop("engine.onnx")
    (folder / "manifest.json").write_text(json.dumps(manifest | {"engine_file": "engine.plan"}))
    content = b"not for this backend"
    _write(folder, "engine.plan", content, forged=True)
    parity = json.loads((folder / "parity.json").read_text())
    parity["engine_sha256"] = sha256_of(folder / "engine.plan")
    _write(folder, "parity.json", json.dumps(parity).encode(), forged=True)


CASES: dict[str, tuple[Damage, int, str]] = {
    "an engine with one bit flipped": (
        lambda own, _: _flip(own, "engine.onnx"),
        5,
        "engine.onnx was altered",
    ),
    "a reference with one bit flipped": (
        lambda own, _: _flip(own, "model.onnx"),
        5,
        "model.onnx was altered",
    ),
    "golden crops with one bit flipped": (
        lambda own, _: _flip(own, "golden.npz"),
        5,
        "golden.npz was altered",
    ),
    "a record with one bit flipped": (lambda own, _: _flip(own, "parity.json"), 5, "parity.json was altered"),
    "a truncated engine": (
        lambda own, _: _write(own, "engine.onnx", (own / "engine.onnx").read_bytes()[:-1]),
        5,
        "engine.onnx was altered",
    ),
    "an empty engine": (
        lambda own, _: _write(own, "engine.onnx", b""),
        5,
        "engine.onnx was altered: it has 0 bytes",
    ),
    "truncated golden crops, forged": (
        lambda own, _: _write(own, "golden.npz", (own / "golden.npz").read_bytes()[:-99], forged=True),
        5,
        "not a file of golden crops",
    ),
    "a truncated manifest": (
        lambda own, _: _write(own, "manifest.json", (own / "manifest.json").read_bytes()[:200]),
        5,
        "manifest.json line",
    ),
    "an empty manifest": (
        lambda own, _: _write(own, "manifest.json", b""),
        5,
        "manifest.json line 1: not JSON",
    ),
    "a manifest of another schema": (lambda own, _: _edit(own, schema_version=2), 5, "schema version 2"),
    "no manifest": (lambda own, _: (own / "manifest.json").unlink(), 5, "manifest.json"),
    "no record": (lambda own, _: (own / "parity.json").unlink(), 3, "no parity record"),
    "no engine": (lambda own, _: (own / "engine.onnx").unlink(), 5, "lacks engine.onnx"),
    "engine and reference exchanged": (
        lambda own, _: _exchange(own, "engine.onnx", "model.onnx"),
        5,
        "was altered",
    ),
    "another bundle's engine": (
        lambda own, other: shutil.copy(other / "engine.onnx", own),
        5,
        "engine.onnx was altered",
    ),
    "another bundle's engine, forged": (
        lambda own, other: _write(own, "engine.onnx", (other / "engine.onnx").read_bytes(), forged=True),
        3,
        "verdicts changed to PASS",
    ),
    "another bundle's manifest": (
        lambda own, other: shutil.copy(other / "manifest.json", own),
        5,
        "was altered",
    ),
    "another bundle's record, forged": (
        lambda own, other: _write(own, "parity.json", (other / "parity.json").read_bytes(), forged=True),
        5,
        "its parity record is for another engine",
    ),
    "a library beside the engine": (lambda own, _: _write(own, "ops.so", b""), 5, "holds ops.so"),
    "a link to a file outside": (
        lambda own, other: ((own / "engine.onnx").unlink(), (own / "engine.onnx").symlink_to(other / "x")),
        5,
        "not a plain file",
    ),
    "a file outside in the manifest": (
        lambda own, _: _edit(own, files={"../x": {"sha256": "0" * 64, "size": 0}}),
        5,
        "a bundle cannot hold a file called",
    ),
    "a backend that is not known": (lambda own, _: _edit(own, backend="npu"), 5, "unknown backend 'npu'"),
    "a precision that the device lacks": (lambda own, _: _edit(own, precision="bf16"), 5, "cannot run here"),
    "another device's engine file": (lambda own, _: _plan(own), 5, "is not an ONNX graph"),
    "bytes that are no engine, forged": (
        lambda own, _: _write(own, "engine.onnx", b"\x00" * 64, forged=True),
        5,
        "cannot load",
    ),
    "a card for other crops": (
        lambda own, _: _card(own, preprocess={"height": 32, "width": 16, "channels": 1}),
        5,
        "golden.npz: crops must be",
    ),
    "a card of other classes": (
        lambda own, _: _card(own, classes=["normal", "defective", "bridge"]),
        5,
        "golden.npz: logits must be",
    ),
    "other thresholds": (
        lambda own, _: _edit(own, thresholds={"lower": 0.9, "upper": 0.9}),
        5,
        "its parity record is for other thresholds",
    ),
    "a batch of none": (lambda own, _: _edit(own, max_batch=0), 5, "max_batch"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_is_refused_with_one_line(
    name: str, made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, code, says = CASES[name]
    folder = Path(shutil.copytree(made[0], tmp_path / "one"))
    damage(folder, made[1])
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        run(["engine", "verify", str(folder)])
    lines = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == code
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert len(lines) <= 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


AVX2 = {"machine": "x86_64", "isa": "avx avx2 fma", "cpu": "an older one"}
VNNI = {"machine": "x86_64", "isa": "avx2 avx512f avx512_vnni", "cpu": "a newer one"}


@pytest.mark.parametrize(
    ("bits", "facts", "refused"),
    [("8", AVX2, True), ("7", AVX2, False), ("8", VNNI, False), ("8", {**AVX2, "machine": "aarch64"}, False)],
)
def test_int8_of_full_range_is_refused_where_the_kernels_saturate(
    bits: str, facts: dict[str, str], refused: bool
) -> None:
    said = int8_incompatibility({"int8_weight_bits": bits}, facts)
    assert bool(said) == refused
    assert not refused or ("an older one" in said and "7 weight bits" in said)
