"""Calibration sets on disk: the chosen images, and a manifest that pins each of them."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sji_edge.core.card import PreprocessSpec, in_one_line
from sji_edge.core.errors import DataError, GateError
from sji_edge.core.files import new_folder, sha256_of, write_json
from sji_edge.data.folder import FolderDataset, Sample, crops_of, read_images
from sji_edge.quantization.probe import features_on
from sji_edge.quantization.select import cover

MANIFEST = "manifest.json"
CROPS = "crops"


class CalibrationCrop(BaseModel):
    """One image of the set: its file in the set, its content, its class, and where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    label: str
    source: str


class CalibrationManifest(BaseModel):
    """``manifest.json`` of a calibration set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    dataset_sha256: str
    method: str
    seed: int
    crops: tuple[CalibrationCrop, ...] = Field(min_length=1)
    audit: dict[str, int | str | dict[str, int]]


def make_calibration_set(
    folder: Path,
    dataset: FolderDataset,
    model: onnx.ModelProto,
    spec: PreprocessSpec,
    *,
    count: int,
    seed: int,
) -> CalibrationManifest:
    """Choose crops from the training split and write the set.

    Args:
        folder: ``calibration/SET``; must not exist yet.
        dataset: opened with its training split, and with whatever held-out splits there are.
        model: the graph whose features the crops shall cover.
        spec: the model's crops.
        count: how many.
        seed: of the random half of the choice.

    Raises:
        DataError: a chosen image stands in a held-out split, too.
        OutputError: the folder exists.
    """
    samples = dataset.split("train")
    crops = dataset.crops("train", spec)
    chosen = cover(features_on(model, crops), dataset.labels("train"), count, seed)
    picked = [samples[index] for index in chosen]
    held_out = [sample for split in dataset.splits if split != "train" for sample in dataset.split(split)]
    _refuse_leaks(picked, held_out)
    with new_folder(folder) as partial:
        (partial / CROPS).mkdir()
        entries = tuple(
            _copy(sample, number, partial / CROPS, dataset) for number, sample in enumerate(picked)
        )
        manifest = CalibrationManifest(
            dataset_sha256=dataset.sha256(),
            method="k-centre on the model's features, half of it at random",
            seed=seed,
            crops=entries,
            audit=_audit(entries, crops[chosen], len(held_out)),
        )
        write_json(partial / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def read_calibration_set(folder: Path, spec: PreprocessSpec) -> tuple[NDArray[np.uint8], CalibrationManifest]:
    """Return a set's crops, uint8 ``(n, height, width, channels)``, and its manifest.

    Raises:
        DataError: no set, or an image that is missing or altered.
        GateError: every crop is the same flat image: no range can be taken from it.
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
    crops = crops_of(read_images(files, colour=spec.channels == 3), spec)
    spread = crops.reshape(len(crops), -1).std(axis=1)
    if float(np.median(spread)) < 1.0:
        raise GateError(
            f"more than half of the calibration crops in {folder} are flat (no contrast)",
            hint="make the set again from real joints",
        )
    return crops, manifest


def _refuse_leaks(picked: Sequence[Sample], held_out: Sequence[Sample]) -> None:
    known = {sha256_of(sample.path): sample.path for sample in held_out}
    for sample in picked:
        twin = known.get(sha256_of(sample.path))
        if twin is not None:
            raise DataError(
                f"{sample.path} stands in a held-out split, too ({twin}): calibrating on it would spoil the proof",
                hint="remove one of the two",
            )


def _copy(sample: Sample, number: int, folder: Path, dataset: FolderDataset) -> CalibrationCrop:
    name = f"{number:04d}{sample.path.suffix.lower()}"
    shutil.copyfile(sample.path, folder / name)
    return CalibrationCrop(
        file=name,
        sha256=sha256_of(folder / name),
        label=dataset.classes[sample.label],
        source=str(sample.path.relative_to(dataset.root)),
    )


def _audit(
    entries: Sequence[CalibrationCrop], crops: NDArray[np.uint8], held_out: int
) -> dict[str, int | str | dict[str, int]]:
    return {
        "crops": len(entries),
        "by_class": dict(Counter(entry.label for entry in entries)),
        "exact_duplicates": len(entries) - len({entry.sha256 for entry in entries}),
        "flat_crops": int((crops.reshape(len(crops), -1).std(axis=1) < 1.0).sum()),
        "held_out_images_compared": held_out,
    }
