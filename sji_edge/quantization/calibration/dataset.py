"""Calibration sets on disk: the chosen images, and a manifest with the hash of each."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.core.errors import DataError, GateError
from sji_edge.core.files import new_folder, output_errors, sha256_of, write_json
from sji_edge.data.folder import FolderDataset, Sample, crops_of, read_images
from sji_edge.quantization.calibration.audit import MAX_FLAT_SHARE, CalibrationAudit, audit, flat
from sji_edge.quantization.calibration.coverage import cover
from sji_edge.quantization.calibration.leak_guard import Pool, eligible
from sji_edge.quantization.calibration.manifest import (
    MANIFEST,
    CalibrationCrop,
    CalibrationManifest,
    read_calibration_manifest,
)
from sji_edge.quantization.int8.ranges import clipped_shares, histograms
from sji_edge.quantization.int8.tensors import quantized_tensors
from sji_edge.quantization.tensor_values import features_on, held_out

CROPS = "crops"


def make_calibration_set(
    folder: Path,
    dataset: FolderDataset,
    model: onnx.ModelProto,
    card: ModelCard,
    *,
    count: int,
    seed: int,
    force: bool = False,
) -> CalibrationManifest:
    """Choose crops from the training split, audit them, and write the set.

    Args:
        folder: ``calibration/SET``; must not exist yet.
        dataset: opened with its training split, and with whatever held-out splits there are.
        model: the graph whose features the crops cover.
        card: the model's card.
        count: number of crops, at least one for each class.
        seed: seed of the random half of the choice.
        force: write the set despite the audit's findings; the manifest says so.

    Raises:
        DataError: ``count`` is less than the number of classes, a training image is in a held-out split too, or no
            image is left to choose from.
        GateError: the audit finds the set unsuitable; nothing is written.
        OutputError: the folder exists, or cannot be written.
    """
    if count < len(dataset.classes):
        raise DataError(
            f"a calibration set must hold at least one crop of each class, {len(dataset.classes)} here (got {count})",
            hint="raise the number of crops; 256 is the default",
        )
    pool = eligible(dataset, card.preprocess)
    features = features_on(model, pool.crops)
    chosen = cover(features, pool.labels, count, seed, pool.groups)
    picked = [pool.samples[index] for index in chosen]
    found = _audit(dataset, model, pool, chosen)
    if found.findings and not force:
        raise GateError(
            f"the audit found these calibration crops unsuitable: {'; '.join(found.findings)}",
            hint="correct the training split, or force the set to be written anyway",
        )
    with output_errors(folder), new_folder(folder) as partial:
        (partial / CROPS).mkdir()
        manifest = CalibrationManifest(
            dataset_sha256=_hash_for(dataset, card),
            run=card.name,
            run_created_utc=card.created_utc,
            preprocess=card.preprocess,
            method="one of each group, then k-centre on the model's features, half of them at random",
            seed=seed,
            crops=tuple(
                _copy(sample, number, partial / CROPS, dataset) for number, sample in enumerate(picked)
            ),
            audit=found,
            forced=bool(found.findings),
            bit_depth=dataset.bit_depth,
        )
        write_json(partial / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _hash_for(dataset: FolderDataset, card: ModelCard) -> str:
    """Return the dataset's hash, without the test split if the run was trained without it."""
    without_test = {name: samples for name, samples in dataset.splits.items() if name != "test"}
    alone = replace(dataset, splits=without_test).sha256()
    return alone if alone == card.dataset_sha256 else dataset.sha256()


def read_calibration_set(folder: Path, spec: PreprocessSpec) -> tuple[NDArray[np.uint8], CalibrationManifest]:
    """Return a set's crops, uint8 ``(n, height, width, channels)``, and its manifest.

    Raises:
        DataError: not a calibration set, or an image is missing or altered.
        GateError: more than half of the crops are flat, and the set was not forced.
    """
    manifest = read_calibration_manifest(folder)
    files = [folder / CROPS / crop.file for crop in manifest.crops]
    for file, crop in zip(files, manifest.crops, strict=True):
        if not file.is_file() or _hash_of(file) != crop.sha256:
            raise DataError(
                f"{file} {'was altered since the set was made' if file.is_file() else 'is missing'}",
                hint="make the set again with sji-edge calibrate",
            )
    images = read_images(files, colour=spec.channels == 3, bit_depth=manifest.bit_depth)
    crops = crops_of(images, spec)
    if flat(crops) > MAX_FLAT_SHARE * len(crops) and not manifest.forced:
        raise GateError(
            f"more than half of the calibration crops in {folder} are flat (no contrast)",
            hint="make the set again from real joints",
        )
    return crops, manifest


def _hash_of(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error


def _audit(
    dataset: FolderDataset, model: onnx.ModelProto, pool: Pool, chosen: NDArray[np.int64]
) -> CalibrationAudit:
    return audit(
        pool.crops[chosen],
        contents=[sha256_of(pool.samples[index].path) for index in chosen],
        hashes=pool.hashes[chosen],
        labels=[dataset.classes[pool.samples[index].label] for index in chosen],
        groups=[pool.groups[index] for index in chosen],
        classes=dataset.classes,
        all_groups=pool.groups,
        clipped=_clipped(model, pool.crops[chosen]),
        held_out=pool.held_out,
        like_held_out=pool.like_held_out,
        left_out=pool.left_out,
    )


def _clipped(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> dict[str, float]:
    """Return the share of each tensor's values outside the range of the other crops."""
    kept_out = held_out(len(crops))
    if not kept_out.any():
        return {}
    names = sorted(quantized_tensors(model).readers)
    ends = {name: found.ends for name, found in histograms(model, names, crops[~kept_out]).items()}
    return clipped_shares(model, ends, crops[kept_out])


def _copy(sample: Sample, number: int, folder: Path, dataset: FolderDataset) -> CalibrationCrop:
    name = f"{number:04d}{sample.path.suffix.lower()}"
    shutil.copyfile(sample.path, folder / name)
    return CalibrationCrop(
        file=name,
        sha256=sha256_of(folder / name),
        label=dataset.classes[sample.label],
        source=str(sample.path.relative_to(dataset.root)),
    )
