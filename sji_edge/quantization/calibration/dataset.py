"""Calibration sets on disk: the chosen images, and a manifest that pins each of them."""

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from sji_edge.core import run_files
from sji_edge.core.card import PreprocessSpec, in_one_line
from sji_edge.core.errors import DataError, GateError
from sji_edge.core.files import new_folder, sha256_of, write_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.data.folder import FolderDataset, Sample, crops_of, read_images
from sji_edge.quantization.calibration.audit import MAX_FLAT_SHARE, CalibrationAudit, audit, flat
from sji_edge.quantization.calibration.coverage import cover
from sji_edge.quantization.calibration.leak_guard import Pool, eligible
from sji_edge.quantization.int8.ranges import clipped_shares, histograms
from sji_edge.quantization.int8.tensors import quantized_tensors
from sji_edge.quantization.tensor_values import features_on, held_out

MANIFEST = run_files.MANIFEST
CROPS = "crops"


class CalibrationCrop(FrozenModel):
    """One image of the set: its file in the set, its content, its class, and where it came from."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    label: str
    source: str


class CalibrationManifest(FrozenModel):
    """``manifest.json`` of a calibration set; ``forced``: written although the audit speaks against it."""

    schema_version: Literal[1] = 1
    dataset_sha256: str
    method: str
    seed: int
    crops: tuple[CalibrationCrop, ...] = Field(min_length=1)
    audit: CalibrationAudit
    forced: bool = False
    bit_depth: int | None = None


def make_calibration_set(
    folder: Path,
    dataset: FolderDataset,
    model: onnx.ModelProto,
    spec: PreprocessSpec,
    *,
    count: int,
    seed: int,
    force: bool = False,
) -> CalibrationManifest:
    """Choose crops from the training split, audit them, and write the set.

    Args:
        folder: ``calibration/SET``; must not exist yet.
        dataset: opened with its training split, and with whatever held-out splits there are.
        model: the graph whose features the crops shall cover.
        spec: the model's crops.
        count: how many.
        seed: of the random half of the choice.
        force: write the set although the audit speaks against it; the manifest says so.

    Raises:
        DataError: a training image stands in a held-out split, too, or none is left to choose from.
        GateError: the audit speaks against the set; nothing is written.
        OutputError: the folder exists.
    """
    pool = eligible(dataset, spec)
    features = features_on(model, pool.crops)
    chosen = cover(features, pool.labels, count, seed, pool.groups)
    picked = [pool.samples[index] for index in chosen]
    found = _audit(dataset, model, pool, chosen)
    if found.findings and not force:
        raise GateError(
            f"the audit speaks against these calibration crops: {'; '.join(found.findings)}",
            hint="mend the training split, or write the set all the same with --force",
        )
    with new_folder(folder) as partial:
        (partial / CROPS).mkdir()
        manifest = CalibrationManifest(
            dataset_sha256=dataset.sha256(),
            method="one of each group, then k-centre on the model's features, half of it at random",
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


def read_calibration_set(folder: Path, spec: PreprocessSpec) -> tuple[NDArray[np.uint8], CalibrationManifest]:
    """Return a set's crops, uint8 ``(n, height, width, channels)``, and its manifest.

    Raises:
        DataError: no set, or an image that is missing or altered.
        GateError: more than half of the crops are flat, and the set was not forced.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} is not a calibration set", hint="make one with sji-edge calibrate DATA")
    try:
        manifest = CalibrationManifest.model_validate(json.loads(path.read_text()))
    except (ValueError, ValidationError) as error:
        reason = in_one_line(error) if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{path} is no valid calibration manifest: {reason}") from error
    files = [folder / CROPS / crop.file for crop in manifest.crops]
    for file, crop in zip(files, manifest.crops, strict=True):
        if not file.is_file() or sha256_of(file) != crop.sha256:
            raise DataError(
                f"{file} is {'altered' if file.is_file() else 'missing'}: it is not what the manifest pins",
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
    """Share of each tensor's values outside the range of the other crops."""
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
