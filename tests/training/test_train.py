import csv
import math

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.tiny_dataset import ALPHA_JS, write_dataset

from sji_edge.core.card import LossCard, ModelCard
from sji_edge.core.errors import DataError, OutputError, UsageError
from sji_edge.core.verdict import decide, defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.models.checkpoint import load_run
from sji_edge.models.predict import logits_of
from sji_edge.runtime.bundle.golden import read_golden
from sji_edge.training.train import train

FILES = {"card.json", "weights.safetensors", "golden.npz", "metrics.csv", "epochs.png", "scores.png"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, joints):
    """One run that several tests look at, and do not change."""
    from sji_edge.training.settings import TrainSettings

    settings = TrainSettings(
        data=joints.root,
        runs=tmp_path_factory.mktemp("out") / "runs",
        model="squeezenet1_1",
        image_size=32,
        loss=ALPHA_JS,
        epochs=2,
        batch_size=8,
        seed=7,
        accelerator="cpu",
        guard=False,
    )
    return train(settings, joints)


def test_a_run_is_a_folder_of_six_files_and_nothing_else_is_left(finished):
    assert finished.folder.name == "squeezenet1_1-alpha-js"
    assert {path.name for path in finished.folder.iterdir()} == FILES
    assert [path.name for path in finished.folder.parent.iterdir()] == [finished.folder.name]
    for picture in ("epochs.png", "scores.png"):
        assert cv2.imread(str(finished.folder / picture)).std() > 0


def test_the_card_says_what_was_done(finished, joints):
    card = finished.card
    assert ModelCard.parse((finished.folder / "card.json").read_text(), "card") == card
    assert (card.architecture, card.classes, card.good_class) == (
        "squeezenet1_1",
        ("normal", "defective"),
        "normal",
    )
    assert card.preprocess.shape == (32, 32, 1)
    assert card.loss == ALPHA_JS
    assert (card.seed, card.weights) == (7, "none")
    assert card.dataset_sha256 == joints.sha256()
    assert {"torch", "lightning", "sji-edge", "opencv-python"} <= set(card.versions)
    assert card.created_utc.endswith("+00:00")


def test_the_cards_figures_are_those_of_the_weights_on_disk(finished, joints):
    model, card = load_run(finished.folder)
    crops = joints.crops("validation", card.preprocess)
    scores = defect_scores(logits_of(model, crops), card.good_index)
    codes = decide(scores, card.thresholds)
    defects = joints.labels("validation") != card.good_index
    measured = card.metrics["validation"]
    assert set(card.metrics) == {"validation"}
    assert (measured["joints"], measured["defects"]) == (12, 4)
    assert measured["escapes"] == int((codes[defects] == 0).sum())
    assert measured["false_calls"] == int((codes[~defects] == 2).sum())


def test_the_golden_logits_are_those_of_the_weights_on_disk(finished, joints):
    model, card = load_run(finished.folder)
    golden = read_golden(finished.folder / "golden.npz", card)
    assert len(golden.crops) == 5 * len(joints.split("validation"))
    assert np.array_equal(golden.crops[:12], joints.crops("validation", card.preprocess))
    np.testing.assert_allclose(logits_of(model, golden.crops), golden.logits, atol=1e-5)
    defects = golden.labels != card.good_index
    passed = decide(defect_scores(golden.logits, card.good_index), card.thresholds) == 0
    assert not (passed & defects).any()


def test_metrics_csv_has_one_line_an_epoch(finished):
    with (finished.folder / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for row in rows:
        assert 0 <= float(row["val_ap"]) <= 1
        assert math.isfinite(float(row["train_loss"]))
        assert math.isfinite(float(row["val_ce"]))
        assert float(row["learning_rate"]) > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(settings, joints):
    states = [
        load_file(train(settings(name=name, seed=seed), joints).folder / "weights.safetensors")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_the_penalty_keeps_scores_from_the_ends(settings, joints):
    """The same start and data: a strong α-JS answers less surely than cross-entropy."""
    surest = {}
    for name, loss in {
        "ce": LossCard(name="ce"),
        "alpha-js": LossCard(name="alpha-js", settings={"alpha": 0.1, "beta": 3.0}),
    }.items():
        run = train(settings(name=name, loss=loss, epochs=4, model="mnasnet0_5"), joints)
        logits = read_golden(run.folder / "golden.npz", run.card).logits
        surest[name] = float(np.ptp(logits, axis=1).max())
        assert run.card.loss == loss
    assert surest["alpha-js"] < surest["ce"]


@pytest.mark.slow
def test_the_default_model_learns_the_drawn_joints(settings, joints):
    run = train(settings(model="efficientnet_lite0", weights="auto", epochs=6, image_size=48), joints)
    assert run.card.weights == "imagenet"
    assert run.card.metrics["validation"]["average_precision"] > 0.95
    assert run.card.metrics["validation"]["escapes"] == 0


def test_colour_images_make_a_three_channel_model_and_more_classes_are_taken(settings, tmp_path):
    counts = {"train": {"ok": 8, "bridge": 5, "void": 5}, "validation": {"ok": 4, "bridge": 2, "void": 2}}
    root = write_dataset(tmp_path / "colour", counts, good="ok", colour=True)
    data = FolderDataset.open(root, "ok", ("train", "validation"))
    run = train(settings(data=root, good_class="ok"), data)
    assert run.card.preprocess.channels == 3
    assert run.card.classes == ("ok", "bridge", "void")
    grey = train(settings(data=root, good_class="ok", name="grey", channels="1"), data)
    assert grey.card.preprocess.channels == 1


def test_a_run_starts_from_another_runs_weights(finished, settings, joints):
    run = train(settings(weights=str(finished.folder), learning_rate=1e-9), joints)
    assert run.card.weights == finished.folder.name
    before, after = (load_file(folder / "weights.safetensors") for folder in (finished.folder, run.folder))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-5, rtol=1e-3)


def test_a_run_is_never_overwritten_and_default_names_count_up(finished, settings, joints):
    first = train(settings(), joints)
    before = (first.folder / "weights.safetensors").read_bytes()
    with pytest.raises(OutputError, match="already exists") as caught:
        train(settings(), joints)
    assert "another name" in caught.value.hint
    assert (first.folder / "weights.safetensors").read_bytes() == before
    names = {train(settings(name=""), joints).folder.name for _ in range(2)}
    assert names == {"squeezenet1_1-alpha-js", "squeezenet1_1-alpha-js-2"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": LossCard(name="alpha_js")}, "unknown loss 'alpha_js'"),
        ({"loss": LossCard(name="ce", settings={"alpha": 0.5})}, "loss ce has no option 'alpha'"),
        (
            {"loss": LossCard(name="alpha-js", settings={"alpha": 0.0, "legacy_double_softmax": True})},
            "loss alpha-js: alpha must be strictly between 0 and 1",
        ),
        ({"model": "squeezenet1_2"}, "unknown model 'squeezenet1_2'"),
        ({"model": "alexnet"}, "alexnet cannot take 32x32 crops"),
        ({"weights": "no/such/file.pt"}, r"weights no/such/file\.pt do not exist"),
        ({"resume": True}, "nothing to resume"),
        ({"devices": "many"}, "cannot train on accelerator cpu, devices many"),
        ({"accelerator": "abacus"}, "cannot train on accelerator abacus"),
        ({"strategy": "best"}, "strategy best: "),
        ({"learning_rate": 1e30}, "training diverged"),
    ],
)
def test_settings_that_cannot_work_are_usage_errors_and_leave_nothing(settings, joints, changes, said):
    wanted = settings(**changes)
    with pytest.raises(UsageError, match=said):
        train(wanted, joints)
    left = list(wanted.runs.iterdir()) if wanted.runs.exists() else []
    assert left == []


def test_validation_without_a_defect_is_refused_before_the_training(settings, tmp_path):
    counts = {"train": {"normal": 4, "defective": 4}, "validation": {"normal": 4}}
    data = FolderDataset.open(write_dataset(tmp_path / "d", counts), splits=("train", "validation"))
    with pytest.raises(DataError, match="has 4 good and 0 defective joints"):
        train(settings(epochs=10_000), data)
    assert not settings().runs.exists()


def test_an_unreadable_image_is_refused_before_anything_is_written(settings, tmp_path):
    root = write_dataset(tmp_path / "d")
    (root / "train" / "normal" / "000.png").write_text("text")
    data = FolderDataset.open(root, splits=("train", "validation"))
    with pytest.raises(DataError, match=r"000\.png is not an image"):
        train(settings(), data)
    assert not settings().runs.exists()
