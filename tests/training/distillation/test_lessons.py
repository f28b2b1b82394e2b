import numpy as np
import pytest
import torch
from support.tiny_dataset import draw_joint

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.data.jitter import TRAINING_JITTER, jittered_crop
from sji_edge.models.predict import logits_of
from sji_edge.training.distillation import lessons
from sji_edge.training.distillation.lessons import Lessons, judge_views, read_logits, view_of, write_logits
from sji_edge.training.distillation.teachers import open_teachers

SPEC = PreprocessSpec(height=32, width=32)


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    return [draw_joint(True, rng) for _ in range(3)]


def test_the_teachers_judge_the_views_that_the_student_sees(teacher, second_teacher, images, monkeypatch):
    monkeypatch.setattr(lessons, "CHUNK", 4)  # 12 views in three parts
    teachers = open_teachers([teacher, second_teacher])
    said: list[str] = []
    logits = judge_views(teachers, images, SPEC, views=4, seed=5, progress=said.append)
    assert logits.shape == (3, 4, 2, 2)
    assert logits.dtype == np.float32
    for joint, image in enumerate(images):
        for view in range(4):
            rng = np.random.default_rng((5, joint, view))
            crop = jittered_crop(image, SPEC, TRAINING_JITTER, rng)
            for number, one in enumerate(teachers):
                expected = logits_of(one.model, crop[None])[0]
                np.testing.assert_allclose(logits[joint, view, number], expected, atol=1e-4)
    assert said[-1] == "teachers judged 12 of 12 views"


def test_a_lesson_is_a_view_with_the_mean_of_the_teachers_softened_probabilities(images):
    logits = np.random.default_rng(0).normal(size=(3, 2, 2, 2)).astype(np.float32)
    labels = np.array([0, 1, 0])
    data = Lessons(images, labels, SPEC, logits, seed=9, temperature=3.0)
    assert len(data) == 3
    seen = set()
    torch.manual_seed(0)
    for _ in range(20):
        crop, label, answer = data[1]
        (view,) = [n for n in range(2) if np.array_equal(crop, view_of(images[1], SPEC, 9, 1, n))]
        seen.add(view)
        powers = np.exp(logits[1, view] / 3.0)
        expected = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(answer, expected, rtol=1e-5)
        assert label == 1
    assert seen == {0, 1}


def test_answers_on_other_joints_are_refused(images):
    with pytest.raises(ValueError, match="3 images, 3 labels and answers on 2 joints"):
        Lessons(
            images, np.zeros(3, np.int64), SPEC, np.zeros((2, 1, 1, 2), np.float32), seed=0, temperature=1.0
        )


def test_kept_logits_come_back_and_damaged_ones_are_refused(tmp_path):
    logits = np.random.default_rng(0).normal(size=(4, 2, 1, 2)).astype(np.float32)
    write_logits(tmp_path, logits)
    assert np.array_equal(read_logits(tmp_path, 4), logits)
    path = tmp_path / "teacher-logits.npy"
    for content in (path.read_bytes()[:150], b"text", b""):
        path.write_bytes(content)
        with pytest.raises(
            UsageError, match=r"cannot be resumed: .*teacher-logits\.npy is missing or damaged"
        ):
            read_logits(tmp_path, 4)
    path.unlink()
    with pytest.raises(UsageError, match="is missing or damaged"):
        read_logits(tmp_path, 4)
