"""Chooses and writes the calibration crops from which INT8 ranges are computed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_new_folder, fresh_name
from sji_edge.core.left_out import in_one_line
from sji_edge.data.folder import FolderDataset
from sji_edge.data.listing import splits_present
from sji_edge.quantization.calibration.manifest import CalibrationManifest
from sji_edge.runtime.onnxruntime import card_in_graph
from sji_edge.workflows.artifacts import exported_model

COUNT = 256


@dataclass(frozen=True)
class CalibrationResult:
    """A calibration set that was written.

    Attributes:
        folder: ``calibration/SET``.
        manifest: where its crops come from, and what the audit found.
        warnings: sentences to read before building from it.
    """

    folder: Path
    manifest: CalibrationManifest
    warnings: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        return str(self.folder)


def calibrate(
    data: StrPath,
    *,
    run: StrPath | None = None,
    runs: StrPath = "runs",
    calibration: StrPath = "calibration",
    count: int = COUNT,
    name: str = "",
    seed: int = 0,
    bit_depth: int | None = None,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> CalibrationResult:
    """Choose calibration crops from a dataset's training split, audit them and write the set.

    Args:
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``.
        run: the run whose model is quantized, or its ``model.onnx``; None: the most recently exported.
        runs: folder of all runs.
        calibration: folder of all calibration sets.
        count: number of crops, at least one for each class.
        name: name of the set; empty: the run's name.
        seed: seed of the random half of the choice.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None where nobody declared it.
        force: write the set despite the audit's findings.
        progress: receives each step in words.

    Raises:
        UsageError: no such run, or it is not exported.
        DataError: the dataset cannot be used, or ``count`` is too small.
        GateError: the audit finds the set unsuitable; nothing is written.
        OutputError: the set exists, or its folder cannot be written.
        MissingExtraError: the ``onnx`` package is not installed.
    """
    require("onnx", purpose="choosing calibration crops")
    import onnx

    from sji_edge.quantization.calibration.dataset import make_calibration_set

    step = progress or (lambda _: None)
    data, sets = Path(data), Path(calibration)
    model = exported_model(None if run is None else Path(run), Path(runs))
    card = card_in_graph(model)
    folder = sets / (name or fresh_name(sets, card.name))
    check_new_folder(folder)
    splits = ["train", *(split for split in ("validation", "test") if _has(data, split))]
    dataset = FolderDataset.open(data, card.good_class, splits, bit_depth=bit_depth)
    step("comparing splits, choosing crops and auditing them")
    manifest = make_calibration_set(
        folder, dataset, onnx.load(model), card, count=count, seed=seed, force=force
    )
    warnings = []
    if manifest.dataset_sha256 != card.dataset_sha256:
        warnings.append(f"{data} is not the dataset that {card.name} was trained on")
    if dataset.left_out:
        warnings.append(in_one_line(dataset.left_out))
    return CalibrationResult(folder, manifest, tuple(warnings))


def _has(data: Path, split: str) -> bool:
    return split in splits_present(data)
