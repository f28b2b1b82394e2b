"""Which run, model or engine is used when none is named."""

import os
from pathlib import Path

import pytest
from support.tiny_bundle import HEAD, card, make_bundle

from sji_edge.core.errors import BundleError, UsageError
from sji_edge.quantization.calibration.manifest import CalibrationManifest
from sji_edge.workflows.artifacts import (
    exported_model,
    fitting_calibration,
    newest_model,
    newest_run,
    released_engine,
)


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
    assert caught.value.hint == f"export it with sji-edge export {tmp_path / 'bare'}"


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


def _set(calibrations: Path, name: str, when: int, **changes: object) -> Path:
    folder = calibrations / name
    folder.mkdir(parents=True)
    manifest = CalibrationManifest(
        **{
            "dataset_sha256": "0" * 64,
            "method": "by hand",
            "seed": 0,
            "crops": [{"file": "0000.png", "sha256": "0" * 64, "label": "normal", "source": "a.png"}],
            "audit": {
                "crops": 1,
                "by_class": {},
                "exact_duplicates": 0,
                "flat_crops": 0,
                "held_out_images_compared": 0,
            },
            **changes,
        }
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    os.utime(folder / "manifest.json", (when, when))
    return folder


def test_the_newest_calibration_set_that_fits_is_taken_and_not_a_newer_one(tmp_path: Path) -> None:
    fits = _set(tmp_path, "fits", 200)
    _set(tmp_path, "older", 100)
    _set(tmp_path, "foreign", 300, dataset_sha256="1" * 64)
    _set(tmp_path, "wide", 400, preprocess={"height": 64, "width": 64, "channels": 3})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    assert fitting_calibration(tmp_path, card()) == fits


def test_without_a_fitting_set_each_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a calibration set") as caught:
        fitting_calibration(tmp_path / "none", card())
    assert "sji-edge calibrate" in caught.value.hint
    _set(tmp_path, "foreign", 300, dataset_sha256="1" * 64, run="other", run_created_utc="then")
    _set(tmp_path, "wide", 400, preprocess={"height": 64, "width": 64, "channels": 3})
    with pytest.raises(UsageError) as caught:
        fitting_calibration(tmp_path, card())
    assert "wide: its crops are 64x64x3, the model's 16x16x1" in caught.value.message
    assert "foreign: it comes from another dataset than tiny was trained on" in caught.value.message
    assert "made for the run other" in caught.value.message
