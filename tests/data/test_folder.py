import re
import shutil

import cv2
import numpy as np
import pytest
from support.tiny_dataset import write_dataset

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError
from sji_edge.core.preprocess import crop_of_image
from sji_edge.data.folder import FolderDataset, channels_of, mixed_colour, read_images

SPEC = PreprocessSpec(height=24, width=24)
TWO = ("train", "validation")
SMALL = {"train": {"normal": 3, "defective": 2}, "validation": {"normal": 2, "defective": 1}}


@pytest.fixture
def root(tmp_path):
    return write_dataset(tmp_path / "joints", SMALL)


def test_splits_classes_and_samples_are_found(root):
    dataset = FolderDataset.open(root, splits=TWO)
    assert dataset.classes == ("normal", "defective")
    assert [len(dataset.split(split)) for split in TWO] == [5, 3]
    assert dataset.labels("train").tolist() == [1, 1, 0, 0, 0]
    assert dataset.labels("train").dtype == np.int64
    for sample in dataset.split("train"):
        assert sample.path.parent.name == dataset.classes[sample.label]


def test_the_good_class_comes_first_and_the_others_by_name(tmp_path):
    counts = {"train": {"zeta": 1, "ok": 1, "bridge": 1}}
    dataset = FolderDataset.open(write_dataset(tmp_path / "d", counts), "ok", ("train",))
    assert dataset.classes == ("ok", "bridge", "zeta")


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_the_validation_split_has_three_names(root, name):
    (root / "validation").rename(root / name)
    assert len(FolderDataset.open(root, splits=TWO).split("validation")) == 3


def test_crops_are_those_of_the_one_preprocessing(root):
    dataset = FolderDataset.open(root, splits=TWO)
    crops = dataset.crops("validation", SPEC)
    assert crops.shape == (3, 24, 24, 1)
    for crop, sample in zip(crops, dataset.split("validation"), strict=True):
        image = cv2.imread(str(sample.path), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(crop, crop_of_image(image, SPEC))


def test_every_image_format_and_depth_is_read(tmp_path, root):
    folder = root / "train" / "normal"
    rng = np.random.default_rng(0)
    for suffix in (".JPG", ".jpeg", ".bmp", ".tif", ".tiff"):
        cv2.imwrite(str(folder / f"x{suffix}"), rng.integers(0, 256, (30, 30, 3), dtype=np.uint8))
    cv2.imwrite(str(folder / "deep.png"), rng.integers(0, 65536, (30, 30), dtype=np.uint16))
    (folder / "notes.txt").write_text("left out")
    dataset = FolderDataset.open(root, splits=TWO)
    assert len(dataset.split("train")) == 11
    assert all(image.dtype == np.uint8 for image in dataset.read("train"))


def test_an_unopened_split_is_named(root):
    with pytest.raises(DataError, match=r"split 'test' .* was not opened; opened: train, validation"):
        FolderDataset.open(root, splits=TWO).split("test")


def test_a_missing_split_lists_what_is_there(root):
    with pytest.raises(DataError, match="has no test split; found: train, validation") as caught:
        FolderDataset.open(root)
    assert str(root / "test") in caught.value.hint


def test_a_root_that_is_not_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="gone is not a folder"):
        FolderDataset.open(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file is not a folder"):
        FolderDataset.open(tmp_path / "file")


def test_an_empty_class_folder_is_refused_and_named(root):
    (root / "train" / "bridge").mkdir()
    with pytest.raises(DataError, match=re.escape(str(root / "train" / "bridge")) + " holds no image"):
        FolderDataset.open(root, splits=TWO)


def test_a_class_folder_whose_images_lie_one_level_deeper_is_refused(root):
    shutil.move(root / "train" / "defective", root / "inner")
    (root / "train" / "defective").mkdir()
    shutil.move(root / "inner", root / "train" / "defective" / "batch1")
    with pytest.raises(DataError, match="defective holds no image"):
        FolderDataset.open(root, splits=TWO)


def test_a_split_without_classes_is_refused(root):
    shutil.rmtree(root / "validation")
    (root / "validation").mkdir()
    with pytest.raises(DataError, match="validation has no class folder"):
        FolderDataset.open(root, splits=TWO)


def test_one_class_alone_is_refused(tmp_path):
    root = write_dataset(tmp_path / "d", {"train": {"normal": 2}, "validation": {"normal": 1}})
    with pytest.raises(DataError, match="only the class 'normal'; a dataset needs at least two"):
        FolderDataset.open(root, splits=TWO)


def test_an_unknown_good_class_lists_the_classes_and_the_nearest(root):
    with pytest.raises(DataError, match=r"no class is called 'norma' .*found: defective, normal") as caught:
        FolderDataset.open(root, "norma", TWO)
    assert "good class" in caught.value.hint
    assert "'normal'" in caught.value.hint


@pytest.mark.parametrize("name", ["normal", "defective"])
def test_a_class_that_is_never_trained_is_refused(root, name):
    shutil.rmtree(root / "train" / name)
    with pytest.raises(DataError, match=f"train split of .* has no class '{name}'"):
        FolderDataset.open(root, splits=TWO)


def test_hidden_folders_are_not_classes(root):
    (root / "train" / ".cache").mkdir()
    assert FolderDataset.open(root, splits=TWO).classes == ("normal", "defective")


def test_all_unreadable_files_are_named_together(root):
    folder = root / "train" / "normal"
    (folder / "000.png").write_bytes(b"")
    (folder / "001.png").write_text("text")
    whole = (folder / "002.png").read_bytes()
    (folder / "002.png").write_bytes(whole[: len(whole) // 2])
    dataset = FolderDataset.open(root, splits=TWO)
    with pytest.raises(DataError) as caught:
        dataset.read("train")
    for found in (r"000\.png is empty", r"001\.png is not an image", r"002\.png is truncated"):
        assert re.search(found, caught.value.message)
    assert "\n" not in caught.value.message


def test_many_unreadable_files_are_counted(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(8)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"4\.png is empty.*; and 3 more$"):
        read_images(paths)


def test_the_hash_follows_content_class_name_and_split_but_not_the_place(root, tmp_path):
    def digest(folder):
        return FolderDataset.open(folder, splits=TWO).sha256()

    first = digest(root)
    shutil.copytree(root, tmp_path / "elsewhere")
    assert digest(tmp_path / "elsewhere") == first
    seen = {first}
    image = root / "train" / "normal" / "000.png"
    image.rename(image.with_name("renamed.png"))
    seen.add(digest(root))
    image.with_name("renamed.png").rename(root / "train" / "defective" / "000a.png")
    seen.add(digest(root))
    (root / "train" / "defective" / "000a.png").rename(root / "validation" / "defective" / "000a.png")
    seen.add(digest(root))
    cv2.imwrite(str(root / "validation" / "defective" / "000a.png"), np.zeros((8, 8), np.uint8))
    seen.add(digest(root))
    assert len(seen) == 5


@pytest.mark.parametrize("other", ["Normal", "normal ", "ｎormal"])
def test_classes_that_differ_only_in_spelling_are_refused(root, other):
    (root / "validation" / "normal").rename(root / "validation" / other)
    with pytest.raises(DataError, match="differ only in case, blanks or Unicode form"):
        FolderDataset.open(root, splits=TWO)


def test_twelve_bits_in_sixteen_are_refused_until_declared(root):
    for name in ("000", "001"):
        path = root / "train" / "normal" / f"{name}.png"
        eight = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), eight.astype(np.uint16) * 16)
    with pytest.raises(
        DataError, match="uses 12 bits of its 16-bit samples; files that use 13 bits or fewer"
    ) as caught:
        FolderDataset.open(root, splits=TWO).read("train")
    assert "bit depth to 12" in caught.value.hint
    declared = FolderDataset.open(root, splits=TWO, bit_depth=12)
    images = dict(
        zip((sample.path for sample in declared.split("train")), declared.read("train"), strict=True)
    )
    assert np.abs(images[path].astype(int) - eight).max() <= 1


def test_a_palette_file_among_grey_ones_does_not_give_a_colour_model(root):
    path = root / "train" / "normal" / "000.png"
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(path), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    dataset = FolderDataset.open(root, splits=TWO)
    images = dataset.read("train")
    assert {image.ndim for image in images} == {2, 3}
    assert channels_of(images) == 1
    assert mixed_colour([sample.path for sample in dataset.split("train")], images) == ""


def test_a_mix_of_grey_and_colour_is_reported(root):
    cv2.imwrite(
        str(root / "train" / "normal" / "000.png"), np.random.default_rng(0).integers(0, 255, (20, 20, 3))
    )
    dataset = FolderDataset.open(root, splits=TWO)
    images = dataset.read("train")
    assert channels_of(images) == 3
    said = mixed_colour([sample.path for sample in dataset.split("train")], images)
    assert said.startswith("1 of 5 images are in colour (000.png)")


def test_files_of_a_camera_that_writes_three_equal_channels_stay_colour():
    image = np.repeat(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[..., :1], 3, axis=2)
    assert channels_of([image, image]) == 3
