"""What a dataset built of people's answers says of itself: ``dataset.json`` and the rows of ``labels.csv``."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from sji_edge.core import run_files
from sji_edge.core.errors import DataError
from sji_edge.core.files import read_bounded, read_json
from sji_edge.core.findings import in_one_sentence
from sji_edge.core.frozen import FrozenModel

COLUMNS = (
    "file",
    "split",
    "class",
    "state",
    "package",
    "group",
    "board",
    "unit",
    "refdes",
    "captured",
    "joint",
    "answers",
    "kept_because",
)
MAX_TABLE_BYTES = 256 << 20


class LeftOutJoint(FrozenModel):
    """A joint that somebody answered and that is not in the dataset.

    Attributes:
        joint: where it is, in words: board, unit and refdes, or the board's record and refdes.
        why: ``conflict``, ``no picture``, ``damaged picture``, ``escalated`` or ``excluded``.
        said: what people said of it.
        defect: whether somebody called it a defect.
    """

    joint: str
    why: str
    said: tuple[str, ...]
    defect: bool


class DatasetCard(FrozenModel):
    """``dataset.json``.

    Attributes:
        version: hash over every image's split, class, name and content; a run that is trained on the dataset names it
            as ``dataset_sha256``.
        good_class: the class without a defect.
        defect_class: the class of all defects; empty where each kind of defect is a class.
        classes: all classes, the good one first.
        seed: seed of the split.
        validation: share of the groups that go to the validation split.
        test: share of the groups that go to the test split.
        margin: how much of a box's size was added on each side.
        joints: number of joints by split and class.
        left_out: joints that were answered and are not here.
    """

    version: str
    good_class: str
    defect_class: str
    classes: tuple[str, ...]
    seed: int
    validation: float
    test: float
    margin: float
    joints: Mapping[str, Mapping[str, int]]
    left_out: tuple[LeftOutJoint, ...] = ()


class DatasetRow(FrozenModel):
    """One row of ``labels.csv``: a joint, what it is, and where it comes from.

    Attributes:
        file: path of the image below the dataset.
        split: train, validation or test.
        label: its class.
        state: the kind of defect, or the good class.
        package: the joint's package.
        group: what stays in one split.
        board: name of the product.
        unit: the single board.
        refdes: the joint.
        captured: UTC time in ISO 8601.
        joint: names the joint in every dataset that it is in.
        answers: how many answers stand.
        kept_because: why the joint is in a pool; a reason that no engine gave, if there is one.
    """

    file: str
    split: str
    label: str
    state: str
    package: str
    group: str
    board: str
    unit: str
    refdes: str
    captured: str
    joint: str
    answers: int
    kept_because: str


def read_dataset_card(root: Path) -> DatasetCard:
    """Read ``dataset.json``.

    Raises:
        DataError: the dataset has none, or it is damaged.
    """
    path = root / run_files.DATASET
    if not path.is_file():
        raise DataError(
            f"{root} has no {run_files.DATASET}", hint="name a folder that sji-edge dataset build wrote"
        )
    try:
        return DatasetCard.model_validate(read_json(path, MAX_TABLE_BYTES, error=DataError))
    except ValidationError as error:
        raise DataError(f"{path}: {in_one_sentence(error.errors()[0])}") from error


def read_rows(root: Path) -> list[DatasetRow]:
    """Read the rows of ``labels.csv`` of a built dataset; raises ``DataError`` if it is damaged."""
    path = root / run_files.LABELS
    text = read_bounded(path, MAX_TABLE_BYTES, error=DataError).decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise DataError(f"{path} does not have the columns of a built dataset: {', '.join(COLUMNS)}")
    try:
        return [_row(cells) for cells in rows]
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path}, line {rows.line_num}: not a row of a built dataset") from error


def table_text(rows: Sequence[DatasetRow]) -> str:
    """Return the text of ``labels.csv``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, "label" if name == "class" else name) for name in COLUMNS] for row in rows)
    return text.getvalue()


def _row(cells: Mapping[str, str]) -> DatasetRow:
    values: dict[str, object] = {name: cells[name] for name in COLUMNS if name not in ("class", "answers")}
    return DatasetRow.model_validate({**values, "label": cells["class"], "answers": int(cells["answers"])})
