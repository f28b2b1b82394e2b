"""The manifest of a calibration set, and whether the set fits a model."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard, PreprocessSpec, in_one_line
from sji_edge.core.errors import DataError
from sji_edge.core.files import read_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.quantization.calibration.audit import CalibrationAudit

MANIFEST = run_files.MANIFEST
MAKE_ONE = "make one with sji-edge calibrate DATA"


class CalibrationCrop(FrozenModel):
    """One image of the set: its file in the set, its content, its class, and where it came from."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    label: str
    source: str


class CalibrationManifest(FrozenModel):
    """``manifest.json`` of a calibration set.

    Attributes:
        dataset_sha256: hash of the dataset that the crops come from, as in the card of a run trained on it.
        run: name of the run whose features the crops cover; empty in sets made before this was recorded.
        run_created_utc: when that run was trained.
        preprocess: the run's crops.
        method: how the crops were chosen.
        seed: seed of the random half of the choice.
        crops: the images.
        audit: what the audit found.
        forced: the set was written despite the audit.
        bit_depth: how many bits of their 16-bit samples the images use.
    """

    schema_version: Literal[1] = 1
    dataset_sha256: str
    run: str = ""
    run_created_utc: str = ""
    preprocess: PreprocessSpec | None = None
    method: str
    seed: int
    crops: tuple[CalibrationCrop, ...] = Field(min_length=1)
    audit: CalibrationAudit
    forced: bool = False
    bit_depth: int | None = None

    def unfit_for(self, card: ModelCard) -> str:
        """Say why the set does not fit a model, or return an empty string if it does.

        A set fits a run that was trained on the same dataset, and the run that it was made for.
        """
        if self.preprocess not in (None, card.preprocess):
            return f"its crops are {_size(self.preprocess)}, the model's {_size(card.preprocess)}"
        own = bool(self.run_created_utc) and (self.run, self.run_created_utc) == (card.name, card.created_utc)
        if self.dataset_sha256 != card.dataset_sha256 and not own:
            made_for = f" and was made for the run {self.run}" if self.run else ""
            return f"it comes from another dataset than {card.name} was trained on{made_for}"
        return ""


def read_calibration_manifest(folder: Path) -> CalibrationManifest:
    """Read a set's manifest.

    Raises:
        DataError: there is none, or it is not a calibration manifest.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise DataError(f"{folder} is not a calibration set: it holds no {MANIFEST}", hint=MAKE_ONE)
    try:
        return CalibrationManifest.model_validate(read_json(path, error=DataError))
    except ValidationError as error:
        raise DataError(f"{path} is not a valid calibration manifest: {in_one_line(error)[:400]}") from error


def _size(spec: PreprocessSpec | None) -> str:
    return "of any size" if spec is None else "x".join(map(str, spec.shape))
