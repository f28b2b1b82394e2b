"""``sji-edge dataset``: the commands that make datasets of people's answers and compare them."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import GOOD_CLASS, GoodClass, PrintJson

dataset = typer.Typer(
    name="dataset",
    no_args_is_help=True,
    help="Build a dataset from labelled pools and verified records, and compare two of them.",
)


@dataset.command()
def build(
    pools: Annotated[list[Path], typer.Argument(metavar="POOL...", help="Folders of pools.")],
    output: Annotated[Path, typer.Option(help="Folder of the dataset to create; never overwritten.")],
    records: Annotated[
        list[Path] | None,
        typer.Option(
            help="Database of records whose calls were verified; repeat it for more. The pictures of their joints must "
            "be in the pools.",
            show_default=False,
        ),
    ] = None,
    good_class: GoodClass = GOOD_CLASS,
    split_defects: Annotated[
        bool,
        typer.Option(
            "--split-defects", help="Make a class of each kind of defect, instead of one class defective."
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Label whose joints are left out; repeat it for more.", show_default=False),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=4.0,
            help="How much of its width and height to add around a joint's box on each side.",
        ),
    ] = 0.0,
    validation: Annotated[float, typer.Option(help="Share of the boards for validation.")] = 0.15,
    test: Annotated[
        float, typer.Option(help="Share of the boards for the test; 0 for no test split.")
    ] = 0.15,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split; keep it, so that no joint ever changes its split.")
    ] = 0,
    like: Annotated[
        Path | None,
        typer.Option(
            help="Earlier dataset whose classes, margin, shares and seed are taken over; refuse to move a joint of it "
            "to another split.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 3 if a joint that somebody called a defect would be left out."),
    ] = False,
) -> None:
    """Build a dataset that train reads, from the answers that people gave in review.

    Joints of one unit stay in one split, which follows from the names of board and unit and from --seed. Joints of
    which people say different things, and joints without a picture, are listed and left out.

    Example: `sji-edge dataset build pools/amplifier --records inspections/inspections.db --output joints/`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.dataset import print_built
    from sji_edge.workflows.dataset.build import build_dataset

    terminal = console()
    with terminal.status("reading the answers") as status:
        made = build_dataset(
            pools, output,
            records=records or (), good_class=good_class, defect_class="" if split_defects else "defective",
            exclude=exclude or (), margin=margin, validation=validation, test=test, seed=seed, like=like, strict=strict,
            progress=lambda step: status.update(step),
        )  # fmt: skip
    print_built(terminal, made)


@dataset.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Dataset folder.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Dataset folder to compare with it.")],
    as_json: PrintJson = False,
) -> None:
    """List the joints that were added, removed, relabelled, or moved to another split.

    Example: `sji-edge dataset diff joints/ joints-2/`
    """
    from sji_edge.cli.render.dataset import print_diff
    from sji_edge.workflows.dataset.diff import diff_datasets

    print_diff(diff_datasets(before, after), as_json)
