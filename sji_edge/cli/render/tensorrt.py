"""What ``build-engine`` prints about TensorRT."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape

from sji_edge.cli.render.console import console
from sji_edge.core.text import amount, listing
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.workflows.build.tensorrt import Targets

MAX_NAMED = 3


def capabilities(environment: Mapping[str, str]) -> str:
    """Return the compute capabilities that an engine is for, as ``8.6, 8.9, 12.0``."""
    return ", ".join(environment.get("compute_capability", "none").split())


def say_targets(targets: Targets) -> None:
    """Say which cards the engine is built for on a machine without a GPU."""
    line = f"building ahead of time for compute capability {', '.join(targets.capabilities)}"
    if targets.by_default:
        line += (
            " (RTX 30, 40 and 50), because this machine has no GPU; --compute-capability chooses other cards"
        )
    console().print(line, markup=False)


def say_build(build: Mapping[str, Any]) -> None:
    """Say what kept TensorRT from building the best engine: layers not on the DLA, unfused Q/DQ pairs, warnings.

    Args:
        build: the manifest's ``build``; for other backends nothing is printed.
    """
    for line in _remarks(build):
        console().print(f"note: {line}", markup=False)


def _remarks(build: Mapping[str, Any]) -> Iterator[str]:
    fallen = build.get("not_on_dla")
    if fallen:
        count = f"{len(fallen)} of {build.get('network_layers', '?')} layers"
        yield f"{count} cannot run on the DLA and fall back to the GPU: {listing(fallen, MAX_NAMED)}"
    elif fallen is not None:
        yield "every layer runs on the DLA"
    if build.get("unfused"):
        yield str(build["unfused"])
    warnings = build.get("warnings") or []
    if warnings:
        shown = "; ".join(map(str, warnings[:MAX_NAMED]))
        yield f"the builder gave {amount(len(warnings), 'warning')}: {shown} (full output in build.log)"


def say_pending(bundle: Bundle, pending: str) -> None:
    """Say that an engine waits for its device, and how it is released there."""
    terminal = console()
    terminal.print(f"not released yet: {escape(str(bundle.folder))}")
    terminal.print(f"  {pending}", markup=False)
    terminal.print(f"  its graph decides like PyTorch on this CPU ({amount(bundle.parity.joints, 'joint')})")
    terminal.print(f"next, on a card of compute capability {capabilities(bundle.manifest.environment)}:")
    terminal.print(f"  sji-edge engine release {bundle.folder}", markup=False)
