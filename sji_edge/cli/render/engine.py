"""The tables of ``sji-edge engine``."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.common import console
from sji_edge.core.errors import SjiError
from sji_edge.runtime.bundle.bundle import Bundle, backend_of, environment_changes, verify_bundle
from sji_edge.runtime.bundle.manifest import SIGNATURE


def print_engines(folders: list[Path]) -> None:
    """Print one line a bundle; one that cannot be opened shows the reason, and hides no other."""
    table = Table(title="engines")
    for column in ("name", "backend", "precision", "MB", "max batch", "made (UTC)", "signed", "state"):
        table.add_column(column, justify="right" if column in ("MB", "max batch") else "left")
    for folder in folders:
        try:
            bundle = verify_bundle(folder, require_released=False)
            table.add_row(*map(escape, _row(bundle)))
        except SjiError as error:
            table.add_row(escape(folder.name), "", "", "", "", "", "", f"[red]{escape(error.message)}[/red]")
    console().print(table)


def print_engine(bundle: Bundle) -> None:
    """Print everything that a bundle says of itself."""
    manifest, card = bundle.manifest, bundle.card
    table = Table(title=escape(str(bundle.folder)), show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    rows = {
        "engine": f"{manifest.backend} {manifest.precision}, up to {manifest.max_batch} crops at once",
        "state": state_of(bundle),
        "signed": "yes (engine verify --require-signature checks by whom)" if _signed(bundle) else "no",
        "made": manifest.created_utc,
        "model": f"{card.name}: {card.architecture}, {card.loss.name}, seed {card.seed}",
        "classes": ", ".join(card.classes) + f"; good: {card.good_class}",
        "crop": " x ".join(map(str, card.preprocess.shape)) + " (height x width x channels)",
        "thresholds": _thresholds(bundle),
        "parity": _parity(bundle),
        **{f"machine: {key}": value for key, value in sorted(manifest.environment.items())},
        **{f"build: {key}": str(value) for key, value in sorted(manifest.build.items())},
        **{f"calibration: {key}": str(value) for key, value in sorted(manifest.calibration.items())},
    }
    for name, value in rows.items():
        table.add_row(escape(name), escape(value))
    console().print(table)
    if manifest.tried:
        from sji_edge.cli.render.build import print_tried

        print_tried(manifest)
    console().print(_files(bundle))


def state_of(bundle: Bundle) -> str:
    """Say whether a bundle is released, and whether it can run here."""
    if bundle.manifest.waits_for_device:
        return "not released yet: its parity waits for the device (sji-edge engine release there)"
    if not bundle.manifest.released:
        return "not released: it failed its parity gate"
    try:
        reason = backend_of(bundle.manifest).incompatibility(
            bundle.manifest.precision, bundle.manifest.environment
        )
    except SjiError as error:
        reason = error.message
    if reason:
        return f"released, but cannot run here: {reason}"
    return "released" + (", proven on another machine" if environment_changes(bundle) else "")


def _row(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    megabytes = manifest.files[manifest.engine_file].size / 1e6
    return [
        bundle.folder.name,
        manifest.backend,
        manifest.precision,
        f"{megabytes:.2f}",
        str(manifest.max_batch),
        manifest.created_utc[:16],
        "yes" if _signed(bundle) else "no",
        state_of(bundle),
    ]


def _signed(bundle: Bundle) -> bool:
    return (bundle.folder / SIGNATURE).is_file()


def _thresholds(bundle: Bundle) -> str:
    own, reference = bundle.thresholds, bundle.manifest.reference_thresholds
    return (
        f"PASS below {own.lower:.4f}, FAIL from {own.upper:.4f} "
        f"(PyTorch: {reference.lower:.4f}, {reference.upper:.4f})"
    )


def _parity(bundle: Bundle) -> str:
    record = bundle.parity
    said = "passed" if record.passed else f"failed: {'; '.join(record.failures)}"
    if bundle.manifest.waits_for_device:
        said = "waits for the device; on the CPU the engine's graph passed"
    return f"{said}; {record.joints} joints, {record.gated}, {record.created_utc}"


def _files(bundle: Bundle) -> Table:
    table = Table(title="files")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    table.add_column("sha256")
    for name, entry in sorted(bundle.manifest.files.items()):
        table.add_row(name, str(entry.size), entry.sha256)
    return table
