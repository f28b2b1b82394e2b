import csv
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import pytest

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.data.folder import FolderDataset
from sji_edge.data.synthetic.dataset import LABEL_COLUMNS, write_dataset
from sji_edge.data.synthetic.joint import PADS, STATES

COUNTS = {"train": (20, 12), "validation": (9, 5), "test": (7, 6)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "joints"
    write_dataset(folder, seed=3, counts=COUNTS)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames or ()) == LABEL_COLUMNS
        return list(reader)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_split_holds_the_requested_joints(dataset: Path) -> None:
    opened = FolderDataset.open(dataset)
    assert opened.classes == ("normal", "defective")
    for split, (good, defective) in COUNTS.items():
        labels = opened.labels(split).tolist()
        assert Counter(labels) == {0: good, 1: defective}


def test_the_labels_describe_every_image_and_no_other(dataset: Path) -> None:
    rows = rows_of(dataset)
    assert {row["file"] for row in rows} | {"labels.csv"} == set(contents(dataset))
    assert len(rows) == sum(map(sum, COUNTS.values()))
    for row in rows:
        split, name, _ = row["file"].split("/")
        assert split == row["split"]
        assert (name == "normal") == (row["state"] == "normal")
        assert row["state"] in STATES
        assert row["pad"] in PADS
        image = cv2.imread(str(dataset / row["file"]), cv2.IMREAD_UNCHANGED)
        assert image.ndim == 2
        assert 50 <= min(image.shape) <= max(image.shape) <= 190


def test_a_group_stays_in_its_split_and_mixes_good_and_defective(dataset: Path) -> None:
    splits, classes = defaultdict(set), defaultdict(set)
    for row in rows_of(dataset):
        splits[row["group"]].add(row["split"])
        classes[row["group"]].add(row["state"] == "normal")
    assert all(len(found) == 1 for found in splits.values())
    assert any(len(found) == 2 for found in classes.values())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again", seed=3, counts=COUNTS)
    write_dataset(tmp_path / "other", seed=4, counts=COUNTS)
    assert contents(tmp_path / "again") == contents(dataset)
    assert contents(tmp_path / "other") != contents(dataset)


def test_a_split_does_not_depend_on_the_others(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "alone", seed=3, counts={"test": COUNTS["test"]})
    alone = contents(tmp_path / "alone" / "test")
    assert alone == contents(dataset / "test")
    assert len(alone) == 13


@pytest.mark.parametrize(
    "counts",
    [{}, {"train": (0, 0)}, {"train": (-1, 3)}, {"training": (3, 3)}],
    ids=["none", "zero", "below", "name"],
)
def test_impossible_counts_are_refused_and_leave_nothing_behind(counts: dict, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_dataset(tmp_path / "joints", seed=1, counts=counts)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_overwritten(dataset: Path) -> None:
    with pytest.raises(OutputError):
        write_dataset(dataset, seed=3, counts=COUNTS)
