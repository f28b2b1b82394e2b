"""The table of ``parity --bisect``."""

from rich.table import Table

from sji_edge.cli.render.console import console, plain
from sji_edge.parity.bisect import PARTED, Bisection, Layer

SHOWN = 12


def print_bisection(found: Bisection, title: str) -> None:
    """Print the first and the worst layer and the layers that add most error, in the order of the graph."""
    terminal = console()
    greatest = sorted(found.layers, key=lambda layer: -layer.increase)[:SHOWN]
    table = Table(title=plain(f"{title}: {len(found.layers)} tensors on {found.crops} crops"))
    for column in ("tensor", "operator", "RMS error", "added here", ""):
        table.add_column(column, justify="right" if " " in column else "left")
    for layer in found.layers:
        marks = ["first"] * (layer == found.first) + ["worst"] * (layer == found.worst and layer.error > 0)
        marks += ["rescaled"] * layer.rescaled
        if layer in greatest or layer in (found.first, found.worst) or layer is found.layers[-1]:
            cells = (_number(layer.error), _number(layer.increase), ", ".join(marks))
            table.add_row(plain(layer.tensor), plain(layer.operator), *cells)
    terminal.print(table)
    if found.first is None:
        terminal.print(f"no tensor differs by more than {found.tolerance:g}")
    else:
        terminal.print(f"first above {found.tolerance:g}: {_named(found.first)}", markup=False)
    if found.worst.error:
        terminal.print(f"worst: {_named(found.worst)}", markup=False)
    terminal.print(f"engine's kernels against its graph as written: {_number(found.kernels)}")


def _named(layer: Layer) -> str:
    return f"{layer.tensor} ({layer.operator}), {_number(layer.error)}, {_number(layer.increase)} added here"


def _number(error: float) -> str:
    return "not comparable" if error >= PARTED / 2 else f"{error:.2e}"
