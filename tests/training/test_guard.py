import numpy as np
import onnxruntime
import pytest
import torch
from support.tiny_dataset import ALPHA_JS, draw_joint

from sji_edge.cli.render.training import print_run
from sji_edge.core.errors import UsageError
from sji_edge.core.verdict import PASS, decide, defect_scores
from sji_edge.data.folder import crops_of
from sji_edge.exporting.onnx import export_run
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.predict import answers_of
from sji_edge.runtime.bundle.golden import read_golden
from sji_edge.training.guard import prototypes_of
from sji_edge.training.settings import TrainSettings
from sji_edge.training.train import train
from sji_edge.workflows.evaluate.evaluate import evaluate


@pytest.fixture(scope="module")
def guarded_run(tmp_path_factory, joints):

    settings = TrainSettings(
        data=joints.root,
        runs=tmp_path_factory.mktemp("guard") / "runs",
        name="tiny",
        model="resnet18",
        image_size=48,
        loss=ALPHA_JS,
        epochs=1,
        batch_size=8,
        accelerator="cpu",
        guard=True,
    )
    return train(settings, joints)


def test_noise_is_beyond_the_guards_limit_and_good_joints_are_not(guarded_run):
    model, card = load_run(guarded_run.folder)
    guarded = load_guard(guarded_run.folder, model)
    rng = np.random.default_rng(5)
    good = crops_of([draw_joint(True, rng) for _ in range(40)], card.preprocess)
    noise = rng.integers(0, 256, good.shape, dtype=np.uint8)
    assert card.thresholds.novelty is not None
    _, usual = answers_of(guarded, good)
    _, strange = answers_of(guarded, noise)
    assert (usual < card.thresholds.novelty).mean() > 0.8
    assert (strange >= card.thresholds.novelty).mean() > 0.95


def test_the_exported_graph_gives_pytorchs_novelty(guarded_run):
    model_file = export_run(guarded_run.folder)
    golden = read_golden(guarded_run.folder / "golden.npz", guarded_run.card)
    session = onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
    logits, novelty = session.run(["logits", "novelty"], {"crops": golden.crops})
    assert np.allclose(logits, golden.logits, atol=1e-3)
    assert np.allclose(novelty, golden.novelty, atol=1e-3 * np.abs(golden.novelty).max())


def test_a_run_without_a_guard_has_none(tmp_path, joints, settings):
    run = train(settings(), joints)
    assert load_guard(run.folder, load_run(run.folder)[0]) is None
    assert run.card.thresholds.novelty is None
    assert read_golden(run.folder / "golden.npz", run.card).novelty is None


def test_a_damaged_guard_is_refused_in_one_line(guarded_run, tmp_path):
    model, _ = load_run(guarded_run.folder)
    (tmp_path / "guard.safetensors").write_bytes(b"no guard")
    with pytest.raises(UsageError, match="does not hold a guard"):
        load_guard(tmp_path, model)


def test_prototypes_are_spread_over_the_cells():
    directions = torch.eye(6)
    cells = directions[torch.arange(300) % 6].view(75, 2, 2, 6).permute(0, 3, 1, 2)
    chosen = prototypes_of(cells + 0.01 * torch.randn(cells.shape), 6, np.random.default_rng(0))
    assert sorted(chosen.argmax(dim=1).tolist()) == list(range(6))


def test_the_limits_keep_to_the_budget_and_the_card_says_how_it_was_divided(guarded_run):
    card, golden = guarded_run.card, read_golden(guarded_run.folder / "golden.npz", guarded_run.card)
    budget = card.review_budget
    good = golden.labels == card.good_index
    codes = decide(defect_scores(golden.logits, card.good_index), card.thresholds, golden.novelty)
    assert (codes[good] != PASS).sum() == budget.stopped
    assert (codes[~good] == PASS).sum() == budget.escapes
    assert (budget.goods, budget.defects) == (good.sum(), (~good).sum())
    assert budget.budget == 0.01
    assert set(budget.shares) == {"score", "novelty"}
    assert sum(budget.shares.values()) == pytest.approx(0.01)
    assert budget.shares in [split.shares for split in budget.splits]
    assert all(split.novelties is not None for split in budget.splits)


def test_evaluate_chooses_the_limits_of_training_again_and_an_escape_rate_keeps_the_guards(
    guarded_run, joints, tmp_path, capsys
):
    again = evaluate(
        joints.root,
        guarded_run.folder,
        review_budget=0.01,
        split="validation",
        replicates=100,
        attention="none",
        output=tmp_path / "a",
    ).document.operating_point
    assert again.thresholds.lower == pytest.approx(guarded_run.card.thresholds.lower, rel=1e-3)
    assert again.thresholds.novelty == pytest.approx(guarded_run.card.thresholds.novelty, rel=1e-3)
    assert again.review_budget.shares == guarded_run.card.review_budget.shares
    print_run(guarded_run.folder, guarded_run.card)
    assert "for the novelty" in (said := capsys.readouterr().out)
    assert said.count("chosen") == 1
    kept = evaluate(
        joints.root,
        guarded_run.folder,
        max_escape=0.5,
        split="validation",
        replicates=100,
        attention="none",
        output=tmp_path / "b",
    ).document.operating_point
    assert kept.thresholds.novelty == guarded_run.card.thresholds.novelty
    assert kept.review_budget is None
