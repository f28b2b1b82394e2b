"""What is meant when no run, model or engine is named."""

import os
from pathlib import Path

import pytest
from support.tiny_bundle import HEAD, make_bundle

from sji_edge.core.errors import BundleError, UsageError
from sji_edge.workflows.artifacts import exported_model, newest_model, newest_run, released_engine


def _run(runs: Path, name: str, *, exported_at: int | None = None, finished_at: int) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    for file, when in (("card.json", finished_at), ("model.onnx", exported_at)):
        if when is not None:
            (folder / file).write_text("{}")
            os.utime(folder / file, (when, when))
    return folder


def test_the_newest_run_need_not_be_the_one_exported_last(tmp_path: Path) -> None:
    _run(tmp_path, "first", finished_at=100, exported_at=900)
    _run(tmp_path, "second", finished_at=200, exported_at=300)
    _run(tmp_path, "third", finished_at=400)
    _run(tmp_path, ".third.partial-x", finished_at=500, exported_at=950)
    assert newest_run(tmp_path) == tmp_path / "third"
    assert newest_model(tmp_path) == tmp_path / "first" / "model.onnx"
    assert exported_model(None, tmp_path) == newest_model(tmp_path)


def test_a_named_run_or_file_is_taken_and_an_unexported_run_is_refused(tmp_path: Path) -> None:
    run = _run(tmp_path, "run", finished_at=100, exported_at=100)
    assert exported_model(run, tmp_path) == exported_model(run / "model.onnx", tmp_path) == run / "model.onnx"
    _run(tmp_path, "bare", finished_at=100)
    with pytest.raises(UsageError, match="bare is not exported") as caught:
        exported_model(tmp_path / "bare", tmp_path)
    assert caught.value.hint == f"sji-edge export {tmp_path / 'bare'}"


def test_without_any_run_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    for choose, step in ((newest_run, "train"), (newest_model, "export")):
        with pytest.raises(UsageError) as caught:
            choose(tmp_path)
        assert f"sji-edge {step}" in caught.value.hint


def test_the_newest_released_engine_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no released engine"):
        released_engine(None, tmp_path)
    first = make_bundle(tmp_path, name="first").folder
    second = make_bundle(tmp_path, name="second").folder
    make_bundle(tmp_path, name="third", engine_head=-HEAD)
    # The time in the manifest counts, not that of a copy.
    os.utime(first / "manifest.json", (4e9, 4e9))
    assert released_engine(None, tmp_path).folder == second
    assert "newest released" in released_engine(None, tmp_path).why
    assert released_engine(first, tmp_path).folder == first
    (second / "manifest.json").write_text("{")
    with pytest.raises(BundleError):
        released_engine(None, tmp_path)
