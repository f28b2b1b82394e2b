"""``sji-edge parity``."""

from pathlib import Path
from typing import Annotated

import typer


def parity(
    subjects: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Engine bundles, or a run or its model.onnx; default: the newest released engine.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Run (PyTorch), model.onnx or engine to hold them against; default: PyTorch's recorded "
            "logits, with --data an engine's reference graph."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Dataset to compare on: DATA/SPLIT/CLASS/IMAGE.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test; with --data.")] = "test",
    golden: Annotated[
        bool, typer.Option("--golden", help="Compare on the golden crops; the default without --data.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: the backend chooses.")] = 0,
    worst: Annotated[
        Path | None, typer.Option(help="Write the crops that part the most into this folder, as a picture.")
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Name the first and the worst layer where the graphs part.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(help="Relative RMS error of --bisect; default: by precision.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    engines: Annotated[Path, typer.Option(help="Folder of all engines.")] = Path("engines"),
) -> None:
    """Prove that an engine decides as the trained model does, on this machine; exit 3 where it does not.

    The golden crops carry PyTorch's own logits, so that no PyTorch is needed; only a run that is named
    takes it. The gate is the model card's for the coarser of the two precisions.

    Example: `sji-edge parity engines/demo --data data/solder-joints --split test --worst worst/ --bisect`

    Example: `sji-edge parity engines/demo --against runs/demo --data data/solder-joints --json parity.json`
    """
    from sji_edge.cli.render.parity import print_proof
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.core.errors import GateError
    from sji_edge.workflows.artifacts import released_engine
    from sji_edge.workflows.compare.compare import ProvingSettings, prove

    settings = settings_or_usage_error(
        ProvingSettings,
        against=against,
        data=data,
        split=split,
        golden=golden,
        threads=threads,
        worst=worst,
        bisect=bisect,
        tolerance=tolerance,
    )
    proofs = []
    for subject in subjects or [released_engine(None, engines).folder]:
        for proof in prove(subject, settings):
            print_proof(proof)
            proofs.append(proof)
    if json_file is not None:
        from sji_edge.parity.json_report import write_document

        write_document(json_file, proofs)
    failed = [proof for proof in proofs if not proof.passed]
    if failed:
        said = [
            f"{proof.candidate.path} fails its parity gate on {proof.crops}: "
            + "; ".join(proof.report.result.failures)
            for proof in failed
        ]
        raise GateError(" | ".join(said))
