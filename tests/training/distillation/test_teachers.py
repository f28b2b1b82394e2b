"""Who may teach whom: every refusal is one line."""

import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from support.tiny_dataset import write_dataset

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.core.files import sha256_of
from sji_edge.data.folder import FolderDataset
from sji_edge.training.distillation.lessons import judge_views
from sji_edge.training.distillation.teachers import check_teachers, open_teachers, taught_elsewhere

SPEC = PreprocessSpec(height=32, width=32)


def test_a_teacher_is_named_with_the_hash_of_its_weights(teacher):
    (one,) = open_teachers([teacher])
    named = one.named()
    assert (named.name, named.architecture) == ("teacher", "squeezenet1_1")
    assert named.weights_sha256 == sha256_of(teacher / "weights.safetensors")


def test_the_same_weights_do_not_teach_twice(teacher, second_teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "copy")
    assert len(open_teachers([teacher, second_teacher])) == 2
    with pytest.raises(UsageError, match=r"teacher and .*copy hold the same weights"):
        open_teachers([teacher, second_teacher, tmp_path / "copy"])


def test_teachers_of_other_classes_are_refused(teacher, tmp_path):
    counts = {"train": {"ok": 2, "bridge": 2}, "validation": {"ok": 1, "bridge": 1}}
    data = FolderDataset.open(write_dataset(tmp_path / "d", counts, good="ok"), "ok", ("train", "validation"))
    with pytest.raises(UsageError, match=r"knows the classes normal, defective .*has ok, bridge") as caught:
        check_teachers(open_teachers([teacher]), data, SPEC)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (PreprocessSpec(height=48, width=48), "takes 32x32 grey crops, the student 48x48 grey"),
        (PreprocessSpec(height=32, width=32, channels=3), "takes 32x32 grey crops, the student 32x32 colour"),
    ],
)
def test_teachers_of_other_crops_are_refused(teacher, joints, spec, said):
    with pytest.raises(UsageError, match=said):
        check_teachers(open_teachers([teacher]), joints, spec)


def test_a_teacher_of_other_data_is_reported(teacher, joints):
    teachers = open_teachers([teacher])
    assert taught_elsewhere(teachers, joints.sha256()) == ""
    assert f"trained on other data than the student: {teacher}" in taught_elsewhere(teachers, "0" * 64)


def test_a_teacher_without_a_finite_answer_is_refused(teacher, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(teacher, broken)
    state = load_file(broken / "weights.safetensors")
    last = list(state)[-1]
    state[last] = state[last] * float("nan")
    save_file(state, broken / "weights.safetensors")
    with pytest.raises(UsageError, match="broken gives logits that are not finite"):
        judge_views(
            open_teachers([broken]),
            [np.zeros((40, 40), np.uint8)],
            SPEC,
            views=1,
            seed=0,
            progress=lambda _: None,
        )
