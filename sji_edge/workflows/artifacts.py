"""Chooses the run, exported model, calibration set or engine when none is named, by one rule for each."""

import difflib
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import newest_folder
from sji_edge.core.text import listing
from sji_edge.runtime.bundle.selection import Choice, choose_engine

MAX_LISTED = 5
AS_NAMED = "as named"


def newest_run(runs: Path) -> Path:
    """Return the newest finished run in a folder.

    Args:
        runs: folder of all runs.

    Raises:
        UsageError: there is no run.
    """
    found = newest_folder(runs, run_files.CARD)
    if found is None:
        raise UsageError(
            f"there is no run in {runs}: no folder in it holds a {run_files.CARD}",
            hint="train one with sji-edge train DATA",
        )
    return found


def newest_model(runs: Path) -> Path:
    """Return the newest ``model.onnx`` of the runs in a folder.

    Args:
        runs: folder of all runs.

    Raises:
        UsageError: no run is exported.
    """
    found = newest_folder(runs, run_files.MODEL)
    if found is None:
        raise UsageError(
            f"there is no exported run in {runs}: no folder in it holds a {run_files.MODEL}",
            hint="export one with sji-edge export",
        )
    return found / run_files.MODEL


def exported_model(named: Path | None, runs: Path) -> Path:
    """Return the named ONNX file, or the default one.

    Args:
        named: a run, or an ONNX file; None: ``newest_model``.
        runs: folder of all runs.

    Raises:
        UsageError: no such run or file, or the run is not exported.
    """
    if named is None:
        return newest_model(runs)
    if named.is_file():
        return named
    if not named.is_dir():
        raise UsageError(f"there is no run or model {named}", hint=f"name {_runs_beside(named)}")
    model = named / run_files.MODEL
    if model.is_file():
        return model
    if not (named / run_files.CARD).is_file():
        raise UsageError(
            f"{named} is not a run: it holds no {run_files.CARD}", hint=f"name {_runs_beside(named / '_')}"
        )
    raise UsageError(
        f"the run {named} is not exported: it holds no {run_files.MODEL}",
        hint=f"export it with sji-edge export {named}",
    )


def released_engine(named: Path | None, engines: Path) -> Choice:
    """Return the named engine bundle or the default one, and why it was chosen.

    Args:
        named: a bundle's folder; None: of the released bundles in ``engines`` that can run on this machine,
            the newest TensorRT one, or else the newest one.
        engines: folder of all engines.

    Raises:
        UsageError: no engine in ``engines`` is released.
        BundleError: none of them can run here, or a manifest cannot be read.
    """
    return Choice(named, AS_NAMED) if named is not None else choose_engine(engines)


def fitting_calibration(calibrations: Path, card: ModelCard) -> Path:
    """Return the newest calibration set in a folder that fits a model.

    A set fits a run that was trained on the same dataset, and the run that it was made for.

    Args:
        calibrations: folder of all calibration sets.
        card: the model's card.

    Raises:
        UsageError: there is no set, or none fits; the message says why, for each.
    """
    # Quantizing needs packages that an edge box, which opens engines through this module, does not have.
    from sji_edge.quantization.calibration.manifest import read_calibration_manifest

    marks = [mark for mark in calibrations.glob(f"*/{run_files.MANIFEST}") if mark.parent.name[0] != "."]
    reasons = []
    for mark in sorted(marks, key=lambda mark: mark.stat().st_mtime_ns, reverse=True):
        try:
            reason = read_calibration_manifest(mark.parent).unfit_for(card)
        except DataError as error:
            reason = error.message
        if not reason:
            return mark.parent
        reasons.append(f"{mark.parent.name}: {reason}")
    if not reasons:
        raise UsageError(
            f"INT8 needs a calibration set, but {calibrations} holds none",
            hint="make one with sji-edge calibrate DATA, or build with precision fp32",
        )
    raise UsageError(
        f"no calibration set in {calibrations} fits the run {card.name}: {listing(reasons, 3)}",
        hint=f"make one with sji-edge calibrate DATA for the run {card.name}, or name the set to use",
    )


def _runs_beside(path: Path) -> str:
    names = sorted(mark.parent.name for mark in path.parent.glob(f"*/{run_files.CARD}"))
    if not names:
        return f"one of your runs or its {run_files.MODEL}; train a run with sji-edge train DATA"
    close = difflib.get_close_matches(path.name, names, n=1)
    listed = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
    return f"a run such as {path.parent / close[0]}" if close else f"a run in {path.parent}: {listed}"
