import shutil

import cv2
import numpy as np
import pytest
from support.tiny_dataset import write_dataset

from sji_edge.core.errors import DataError
from sji_edge.core.left_out import in_one_line
from sji_edge.data.folder import FolderDataset
from sji_edge.data.listing import splits_present

TWO = ("train", "validation")
SMALL = {"train": {"normal": 3, "defective": 2}, "validation": {"normal": 2, "defective": 1}}


@pytest.fixture
def root(tmp_path):
    return write_dataset(tmp_path / "joints [1]*?", SMALL)


def left_out(root):
    return [str(one) for one in FolderDataset.open(root, splits=TWO).left_out]


def test_nothing_is_left_out_of_a_plain_dataset(root):
    (root / "labels.csv").write_text("file,group\ntrain/normal/000.png,a\n")
    (root / "README.md").touch()
    (root / "train" / "normal" / "Thumbs.db").touch()
    assert left_out(root) == []
    assert FolderDataset.open(root, splits=TWO, strict=True).left_out == ()


def test_files_of_other_suffixes_are_counted_by_suffix(root):
    for name in ("a.heic", "b.HEIC", "notes.txt", "raw"):
        (root / "train" / "normal" / name).touch()
    assert left_out(root) == [
        "2 .heic files (train/normal/a.heic, train/normal/b.HEIC)",
        "1 .txt file (train/normal/notes.txt)",
        "1 file without a suffix (train/normal/raw)",
    ]


@pytest.mark.parametrize("suffix", [".webp", ".pgm", ".JPE"])
def test_formats_that_can_be_read_are_used(root, suffix):
    image = np.full((64, 64), 90, np.uint8)
    cv2.imwrite(str(root / "train" / "normal" / f"x{suffix.lower()}"), image)
    if suffix != suffix.lower():
        (root / "train" / "normal" / f"x{suffix.lower()}").rename(root / "train" / "normal" / f"x{suffix}")
    dataset = FolderDataset.open(root, splits=TWO, strict=True)
    assert len(dataset.read("train")) == 6


def test_images_in_sub_folders_of_a_class_are_counted(root):
    shutil.copytree(root / "train" / "defective", root / "train" / "defective" / "bridge" / "deep")
    assert left_out(root) == [
        "2 images in sub-folders of a class folder "
        "(train/defective/bridge/deep/000.png, train/defective/bridge/deep/001.png)"
    ]


def test_a_second_validation_folder_is_counted(root):
    shutil.copytree(root / "validation", root / "val")
    said = left_out(root)
    assert said == [
        "3 images in folders that are not read as a split "
        "(val/defective/000.png, val/normal/000.png, val/normal/001.png)"
    ]
    assert len(FolderDataset.open(root, splits=TWO).split("validation")) == 3


def test_a_folder_of_something_else_is_not_mentioned(root):
    (root / "runs" / "plots").mkdir(parents=True)
    (root / "runs" / "plots" / "loss.png").touch()
    assert left_out(root) == []


@pytest.mark.parametrize("name", ["Train", "TRAINING"])
def test_split_folders_are_found_in_any_case(root, name):
    (root / "train").rename(root / name)
    assert splits_present(root) == TWO
    assert len(FolderDataset.open(root, splits=TWO, strict=True).split("train")) == 5


def test_hidden_files_are_skipped_and_counted(root):
    (root / "train" / "normal" / "._000.png").write_bytes(b"\0\5\x16\7")
    assert left_out(root) == ["1 hidden image (train/normal/._000.png)"]
    assert len(FolderDataset.open(root, splits=TWO).read("train")) == 5


def test_loose_images_are_counted(root):
    for place in (root / "a.png", root / "train" / "b.png"):
        place.touch()
    assert left_out(root) == ["2 images outside a class folder (a.png, train/b.png)"]


def test_a_tiff_of_several_pages_is_refused_when_it_is_read(root):
    page = np.full((20, 20), 90, np.uint8)
    cv2.imwritemulti(str(root / "train" / "normal" / "x.tif"), [page, page, page])
    dataset = FolderDataset.open(root, splits=TWO, strict=True)
    with pytest.raises(DataError, match=r"x\.tif holds 3 pages"):
        dataset.read("train")


def test_strict_refuses_what_is_left_out_in_one_line(root):
    (root / "train" / "normal" / "a.heic").touch()
    (root / "labels.csv").write_text("file;group\ngone.png;a\n")
    with pytest.raises(DataError) as caught:
        FolderDataset.open(root, splits=TWO, strict=True)
    assert caught.value.message.endswith(
        "left out: 1 .heic file (train/normal/a.heic), 1 row of labels.csv that names no file (line 2: gone.png)"
    )
    with pytest.raises(DataError, match="left out"):
        FolderDataset.open_split(root, "train", ("normal", "defective"), "normal", strict=True)


def test_more_than_three_examples_end_with_an_ellipsis(root):
    for number in range(5):
        (root / "train" / "normal" / f"{number}.heic").touch()
    said = in_one_line(FolderDataset.open(root, splits=TWO).left_out)
    assert (
        said == "left out: 5 .heic files (train/normal/0.heic, train/normal/1.heic, train/normal/2.heic, …)"
    )


def test_control_characters_in_a_name_are_escaped(root):
    (root / "train" / "normal" / "a\nPASS board99.heic").touch()
    assert left_out(root) == [r"1 .heic file (train/normal/a\x0aPASS board99.heic)"]
