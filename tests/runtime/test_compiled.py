"""Compiled models that are kept for the next start."""

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np
import openvino
import pytest
from support.tiny_bundle import HEAD, crops, make_bundle

from sji_edge.core.errors import BundleError
from sji_edge.runtime.bundle.bundle import Bundle, open_engine
from sji_edge.runtime.openvino.backend import OpenVinoBackend
from sji_edge.runtime.openvino.compiled import HEAD as FILE_HEAD

BATCH = crops(4, seed=1)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_bundle(tmp_path, backend="openvino")


def answers(bundle: Bundle) -> list[np.ndarray]:
    """Answers of a model of its own size and of the one of any size."""
    with closing(open_engine(bundle, threads=1)) as engine:
        engine.prepare([len(BATCH)])
        return [engine.infer(BATCH).logits, engine.infer(BATCH[:3]).logits]


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "sji-edge" / "compiled").glob("*.blob"))


def refuse_to_compile(monkeypatch) -> None:
    def compile_model(*_):
        raise RuntimeError("compiled again")

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)


def test_the_second_start_compiles_nothing_and_answers_alike(bundle, tmp_path, monkeypatch):
    first = answers(bundle)
    assert len(kept(tmp_path)) == 2
    refuse_to_compile(monkeypatch)
    for before, after in zip(first, answers(bundle), strict=True):
        np.testing.assert_array_equal(before, after)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def exchange_the_answers(path: Path) -> None:
    content = path.read_bytes()[FILE_HEAD.size :]
    path.write_bytes(FILE_HEAD.pack(hashlib.sha256(content).digest(), bytes(32)) + content)


def not_a_model(path: Path) -> None:
    path.write_bytes(FILE_HEAD.pack(hashlib.sha256(b"no model").digest(), bytes(32)) + b"no model")


@pytest.mark.parametrize(
    "spoil",
    [
        flip_a_bit,
        exchange_the_answers,
        not_a_model,
        lambda path: path.write_bytes(b"short"),
        lambda path: path.chmod(0o666),
        lambda path: path.parent.chmod(0o777),
    ],
)
def test_a_kept_model_that_was_changed_or_that_others_could_change_is_compiled_again(
    bundle, tmp_path, monkeypatch, spoil
):
    first = answers(bundle)
    for path in kept(tmp_path):
        spoil(path)
    for before, after in zip(first, answers(bundle), strict=True):
        np.testing.assert_array_equal(before, after)
    for path in kept(tmp_path):
        spoil(path)
    refuse_to_compile(monkeypatch)
    with pytest.raises(BundleError, match="compiled again"):
        answers(bundle)


def test_another_graph_does_not_get_it(bundle, tmp_path, monkeypatch):
    answers(bundle)
    other = make_bundle(tmp_path, backend="openvino", name="other", engine_head=-HEAD)
    refuse_to_compile(monkeypatch)
    with pytest.raises(BundleError, match="compiled again"):
        answers(other)


@pytest.mark.parametrize("change", [{"openvino": "9999.0"}, {"cpu": "another"}])
def test_another_openvino_or_cpu_does_not_get_it(bundle, monkeypatch, change):
    """As after an update, or where a home folder is shared by machines."""
    answers(bundle)
    here = OpenVinoBackend().environment()
    assert set(change) < set(here)
    monkeypatch.setattr(OpenVinoBackend, "environment", lambda _: {**here, **change})
    refuse_to_compile(monkeypatch)
    with pytest.raises(BundleError, match="compiled again"):
        answers(bundle)


def test_a_user_whose_cache_cannot_be_written_compiles_each_time(bundle, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file, no folder")
    assert len(answers(bundle)) == 2
