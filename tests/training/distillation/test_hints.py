from copy import deepcopy

import numpy as np
import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.guard import Regressor, guard_layers, on_one_grid, tapped
from sji_edge.training.distillation.hints import HINTS, hints_of, read_hints, write_hints
from sji_edge.training.distillation.teachers import open_teachers
from sji_edge.training.guard import SURELY_KEPT, UNKNOWN
from sji_edge.training.run_folder import work_folder
from sji_edge.training.trainer import TrainingInterruptedError
from sji_edge.workflows.distill import distill
from sji_edge.workflows.guard import fit_guard

TINY = {"epochs": 24, "batch_size": 8, "teacher_views": 1, "no_test": True, "accelerator": "cpu"}

GRID = (4, 4)
"""Of the student's coarser map."""


@pytest.fixture(scope="module")
def hints(teacher, joints):
    spec = PreprocessSpec(height=32, width=32)
    good = joints.labels("train") == joints.classes.index(joints.good_class)
    made = hints_of(
        open_teachers([teacher])[0], joints.read("train", colour=False), good, spec, GRID, 0, lambda _: None
    )
    assert made is not None
    return made


@pytest.fixture(scope="module")
def student(teacher, joints, tmp_path_factory):
    return distill(teacher, joints.root, runs=tmp_path_factory.mktemp("student"), guard=True, **TINY).folder


def maps_of(folder, crops):
    model, card = load_run(folder)
    layers, _ = guard_layers(model, card.preprocess.shape)
    with torch.inference_mode(), tapped(model, layers) as maps:
        model(torch.from_numpy(crops))
    return [maps[name] for name in layers]


def test_hints_are_the_directions_of_the_teachers_maps(teacher, hints):
    """Each cell of each map has length 1; other grids are averaged."""
    crops = hints.pictures[::50]
    maps = maps_of(teacher, crops)
    assert len(maps) == 1
    plain = maps[0].numpy()
    expected = plain / (np.linalg.norm(plain, axis=1, keepdims=True) + 1e-6)
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(expected), GRID).numpy()
    np.testing.assert_allclose(hints.cells[::50], pooled, atol=2e-3)
    assert sum(hints.channels) == plain.shape[1]


def test_pictures_hold_views_of_all_joints_and_novelties_of_the_good_ones(hints, joints):
    good = int((joints.labels("train") == joints.classes.index(joints.good_class)).sum())
    views = 2500 // len(joints.labels("train")) * len(joints.labels("train"))
    assert len(hints.pictures) == len(hints.cells) == views + 8 * good


def test_pictures_and_cells_are_drawn_together(hints):
    torch.manual_seed(3)
    for picture, cell, changed, novel in zip(*(tensor.numpy() for tensor in hints.draw(5)), strict=True):
        places = np.flatnonzero((hints.pictures == picture).all(axis=(1, 2, 3)))
        same = [place for place in places if np.array_equal(hints.cells[place].astype(np.float32), cell)]
        assert any(np.array_equal(hints.changed[place], changed) for place in same)
        assert {bool(hints.novel[place]) for place in same} == {bool(novel)}


def test_good_joints_are_unchanged_and_a_defect_lies_nobody_knows_where(hints, joints):
    bad = int((joints.labels("train") != joints.classes.index(joints.good_class)).sum())
    views = 2500 // len(joints.labels("train")) * len(joints.labels("train"))
    assert not hints.changed[:views][~hints.novel[:views]].any()
    assert (hints.changed[:views][hints.novel[:views]] == UNKNOWN).all()
    assert int(hints.novel[:views].sum()) == bad * (2500 // len(joints.labels("train")))
    assert hints.novel[views:].all()
    assert (hints.changed[views:].max(axis=(1, 2, 3)) > SURELY_KEPT).mean() > 0.9


def test_hints_that_were_kept_are_the_same(hints, tmp_path):
    write_hints(tmp_path, hints)
    kept = read_hints(tmp_path)
    assert kept is not None
    assert np.array_equal(kept.pictures, hints.pictures)
    assert np.array_equal(kept.cells, hints.cells)
    assert np.array_equal(kept.changed, hints.changed)
    assert np.array_equal(kept.novel, hints.novel)
    assert kept.channels == hints.channels
    (tmp_path / HINTS).write_bytes((tmp_path / HINTS).read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"cannot be resumed: .*teacher-hints.npz is damaged"):
        read_hints(tmp_path)


def test_a_regressors_loss_weighs_every_channel_alike():
    rng = np.random.default_rng(1)
    cells = (rng.normal(size=(64, 3, 2, 2)) * [[[[1.0]], [[10.0]], [[0.1]]]]).astype(np.float32)
    regressor = Regressor(4, (1, 2))
    regressor.standardise(torch.from_numpy(cells))
    maps = torch.from_numpy(rng.normal(size=(64, 4, 2, 2)).astype(np.float32))
    with torch.inference_mode():
        said = regressor(maps).numpy()
        loss = float(regressor.loss(maps, torch.from_numpy(cells)))
    expected = np.mean([(said[:, k] - cells[:, k]) ** 2 / cells[:, k].var() for k in range(3)])
    assert loss == pytest.approx(expected, rel=0.01)


def test_a_students_guard_looks_at_its_teachers_cells(teacher, student, hints):
    """Its predictions fit the picture that it sees better than any other picture's cells."""
    guarded = load_guard(student, load_run(student)[0])
    assert guarded is not None
    regressor = guarded.guard.regressor
    assert regressor is not None
    assert guarded.guard.channels == hints.channels
    crops = hints.pictures[::20]
    with torch.inference_mode():
        said = regressor(torch.cat(on_one_grid(maps_of(student, crops)), dim=1)).numpy()
    true = hints.cells[::20].astype(np.float32)

    def error(cells):
        away = ((said - cells) ** 2).mean(axis=(0, 2, 3)) / cells.var(axis=(0, 2, 3)).clip(1e-6)
        return np.median(away)

    assert error(true) < 0.9 * error(np.roll(true, 7, axis=0))


def test_a_refitted_guard_keeps_what_the_student_was_taught(student, joints, tmp_path):
    again = fit_guard(joints.root, student, runs=tmp_path, name="again").folder
    before, after = (load_guard(folder, load_run(folder)[0]) for folder in (student, again))
    assert before is not None
    assert after is not None
    for name, tensor in before.guard.regressor.state_dict().items():
        assert torch.equal(tensor, after.guard.regressor.state_dict()[name])


def test_a_student_without_a_guard_is_given_no_hints(teacher, joints, tmp_path):
    said: list[str] = []
    run = distill(
        teacher, joints.root, runs=tmp_path, guard=False, progress=said.append, **TINY | {"epochs": 1}
    )
    assert not any("hints" in line for line in said)
    assert load_guard(run.folder, load_run(run.folder)[0]) is None


@pytest.mark.slow
def test_a_resumed_student_remembers_its_hints(teacher, student, joints, tmp_path):
    """Interrupted or not, about the same regressor comes out."""

    def stop(line: str) -> None:
        if line.startswith("epoch 12 "):
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterruptedError):
        distill(teacher, joints.root, runs=tmp_path, name="cut", guard=True, progress=stop, **TINY)
    assert (work_folder(tmp_path, "cut") / HINTS).is_file()
    run = distill(runs=tmp_path, name="cut", resume=True).folder
    whole, cut = (load_guard(folder, load_run(folder)[0]) for folder in (student, run))
    assert whole is not None
    assert cut is not None
    a, b = (guarded.guard.regressor.layer.weight.detach() for guarded in (whole, cut))
    # The other half was drawn from another state of the random numbers.
    assert np.corrcoef(a.flatten(), b.flatten())[0, 1] > 0.8


def test_an_averaged_training_module_holds_no_second_set_of_pictures(hints):
    assert deepcopy([hints])[0] is hints
