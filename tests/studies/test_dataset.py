import shutil

import numpy as np
import pytest
from support.study_parts import write_groups
from support.tiny_dataset import write_dataset

from sji_edge.core.errors import DataError
from sji_edge.studies.dataset import held_out, open_dataset


def test_groups_of_the_test_joints_are_read_and_each_joint_is_its_own_without_them(joints_folder, tmp_path):
    data = held_out(open_dataset(joints_folder, "normal"))
    assert data.grouped
    assert np.unique(data.groups).tolist() == ["test0", "test1", "test2", "test3"]
    assert len(data.groups) == len(data.labels["test"]) == 14
    bare = shutil.copytree(joints_folder, tmp_path / "bare")
    (bare / "labels.csv").unlink()
    alone = held_out(open_dataset(bare, "normal"))
    assert not alone.grouped
    assert np.unique(alone.groups).size == 14


def test_a_group_in_two_splits_is_refused(joints_folder, tmp_path):
    root = shutil.copytree(joints_folder, tmp_path / "leak")
    write_groups(root)
    table = root / "labels.csv"
    table.write_text(table.read_text().replace("test0", "train0"))
    with pytest.raises(DataError, match=r"group 'train0' .* is in train and in test") as caught:
        open_dataset(root, "normal")
    assert "into one split" in caught.value.hint


def test_a_test_split_of_one_kind_cannot_be_compared_on(tmp_path):
    counts = {split: {"normal": 3, "defective": 2} for split in ("train", "validation")}
    root = write_dataset(tmp_path / "d", counts | {"test": {"normal": 3}})
    with pytest.raises(DataError, match=r"the test split of .* has 3 good and 0 defective"):
        open_dataset(root, "normal")
