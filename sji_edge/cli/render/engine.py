"""The tables of ``sji-edge engine``."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.runtime.bundle.manifest import SIGNATURE
from sji_edge.workflows.engines.manage import Listed, Verified, state_of


def print_engines(listed: list[Listed]) -> None:
    """Print one row for each folder; a folder without a usable bundle shows the reason."""
    table = Table(title="engines")
    for column in ("name", "backend", "precision", "MB", "max batch", "made (UTC)", "signed", "state"):
        table.add_column(column, justify="right" if column in ("MB", "max batch") else "left")
    for item in listed:
        if item.bundle is not None:
            table.add_row(*map(escape, _row(item.bundle)))
        else:
            table.add_row(
                escape(item.folder.name), "", "", "", "", "", "", f"[red]{escape(item.fault)}[/red]"
            )
    console().print(table)


def print_verified(verified: Verified, require_signature: Path | None) -> None:
    """Print what ``engine verify`` checked, and the comparison on the golden crops."""
    from sji_edge.cli.render.parity import print_parity

    bundle, terminal = verified.bundle, console()
    signed = f", signed by {require_signature}" if require_signature else ""
    terminal.print(f"files: {len(bundle.manifest.files)} unaltered{signed}", markup=False)
    if verified.changes:
        terminal.print("machine: differs from the one where the engine was validated:")
    else:
        terminal.print("machine: the one where the engine was validated")
    for change in verified.changes:
        terminal.print(f"  - {change}", markup=False)
    print_parity(verified.report, f"{bundle.manifest.name} on golden crops, here")


def print_engine(bundle: Bundle) -> None:
    """Print everything that a bundle's manifest says."""
    manifest, card = bundle.manifest, bundle.card
    table = Table(title=escape(str(bundle.folder)), show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    rows = {
        "engine": f"{manifest.backend} {manifest.precision}, up to {manifest.max_batch} crops at once",
        "state": state_of(bundle),
        "signed": "yes (sji-edge engine verify --require-signature KEY checks the key)"
        if _signed(bundle)
        else "no",
        "made": manifest.created_utc,
        "model": f"{card.name}: {card.architecture}, {card.loss.name}, seed {card.seed}",
        "classes": ", ".join(card.classes) + f"; good: {card.good_class}",
        "crop": " x ".join(map(str, card.preprocess.shape)) + " (height x width x channels)",
        "thresholds": _thresholds(bundle),
        "guard": _guard(bundle),
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


def _guard(bundle: Bundle) -> str:
    own, reference = bundle.thresholds.novelty, bundle.manifest.reference_thresholds.novelty
    if own is None:
        return "none: crops unlike the training data are judged by their score alone"
    said = f"REVIEW from a novelty of {own:.4f}"
    return said if reference is None else f"{said} (PyTorch: {reference:.4f})"


def _parity(bundle: Bundle) -> str:
    record = bundle.parity
    said = "passed" if record.passed else f"failed: {'; '.join(record.failures)}"
    if bundle.manifest.waits_for_device:
        said = "waiting for its device; the engine's graph passed on the CPU"
    return f"{said}; {record.joints} joints, {record.gated}, {record.created_utc}"


def _files(bundle: Bundle) -> Table:
    table = Table(title="files")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    table.add_column("sha256")
    for name, entry in sorted(bundle.manifest.files.items()):
        table.add_row(name, str(entry.size), entry.sha256)
    return table
