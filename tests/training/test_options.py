"""Class balance, second views, attention: the options of a training, from the arithmetic to a run."""

import numpy as np
import onnxruntime
import pytest
import torch

from sji_edge.core.card import LossCard
from sji_edge.core.errors import UsageError
from sji_edge.exporting.onnx import export_run
from sji_edge.losses.cross_entropy import CrossEntropy
from sji_edge.models.checkpoint import load_run
from sji_edge.runtime.bundle.golden import read_golden
from sji_edge.training.balance import balanced_sampler, class_weights
from sji_edge.training.train import train
from sji_edge.training.views.attention_crop import attended_boxes, attention_crops
from sji_edge.training.views.jigsaw import jigsaw

LABELS = np.array([0] * 12 + [1] * 3 + [2])
CLASSES = ("normal", "bridge", "void")


def test_balanced_weights_let_every_class_weigh_alike():
    weights = class_weights("balanced", LABELS, CLASSES)
    totals = [float(weights[LABELS[label == LABELS]].sum()) for label in range(3)]
    assert totals == pytest.approx([16 / 3] * 3)
    assert class_weights("none", LABELS, CLASSES) is None
    assert class_weights("1,2.5,8", LABELS, CLASSES).tolist() == [1.0, 2.5, 8.0]


@pytest.mark.parametrize("text", ["1,2", "1,2,x", "1,2,0", "1,2,-3", "1,2,inf", "even", ""])
def test_other_weights_are_one_clear_line(text):
    with pytest.raises(UsageError, match="must be none, balanced or 3 positive numbers") as caught:
        class_weights(text, LABELS, CLASSES)
    assert "normal, bridge, void" in caught.value.hint


def test_the_balanced_sampler_draws_every_class_alike():
    torch.manual_seed(0)
    drawn = np.concatenate([LABELS[list(balanced_sampler(LABELS))] for _ in range(200)])
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 1 / 3, atol=0.03)


@pytest.mark.parametrize(("height", "width", "grid"), [(12, 12, 2), (12, 12, 3), (13, 11, 3)])
def test_jigsaw_moves_whole_patches_and_keeps_the_rest(height, width, grid):
    crops = torch.arange(4 * height * width * 2).reshape(4, height, width, 2)
    shuffled = jigsaw(crops, grid, torch.Generator().manual_seed(3))
    high, wide = height // grid, width // grid

    def patches(crop):
        return [
            tuple(crop[r * high : (r + 1) * high, c * wide : (c + 1) * wide].flatten().tolist())
            for r in range(grid)
            for c in range(grid)
        ]

    orders = []
    for before, after in zip(crops, shuffled, strict=True):
        assert sorted(patches(after)) == sorted(patches(before))
        orders.append([patches(before).index(patch) for patch in patches(after)])
        assert torch.equal(after[high * grid :], before[high * grid :])
        assert torch.equal(after[:, wide * grid :], before[:, wide * grid :])
    assert any(order != orders[0] for order in orders)
    assert any(order != sorted(order) for order in orders)


def test_an_attention_crop_enlarges_the_place_that_the_map_shows():
    crops = torch.zeros(2, 40, 40, 1, dtype=torch.uint8)
    crops[0, 24:32, 8:16] = 200
    crops[1, 0:8, 32:40] = 200
    features = torch.zeros(2, 3, 5, 5)
    features[0, :, 3, 1] = 1.0
    features[1, :, 0, 4] = 1.0
    boxes = attended_boxes(features)
    # Cell 1 of 5 is [0.2, 0.4] of the width, with a margin of 0.1 on each side, in [-1, 1].
    np.testing.assert_allclose(boxes[0], [[-0.8, 0.0], [0.0, 0.8]], atol=1e-6)
    np.testing.assert_allclose(boxes[1], [[0.4, 1.0], [-1.0, -0.4]], atol=1e-6)
    looked = attention_crops(crops, features)
    assert looked.shape == (2, 40, 40, 1)
    for crop, bright in zip(looked, (0.25, 4 / 9), strict=True):
        assert (crop > 100).float().mean().item() == pytest.approx(bright, abs=0.06)


def test_a_flat_map_keeps_the_whole_crop():
    crops = torch.randint(0, 256, (2, 16, 16, 1), dtype=torch.uint8)
    torch.testing.assert_close(
        attention_crops(crops, torch.ones(2, 4, 3, 3)), crops.float(), atol=1e-3, rtol=0
    )


OPTIONS = [
    {"loss": LossCard(name="mutual-channel"), "class_weights": "balanced", "sampler": "balanced"},
    {"loss": LossCard(name="focal", settings={"gamma": 3.0}), "views": "attention-crop"},
    {"loss": LossCard(name="ce"), "views": "jigsaw", "class_weights": "1,4"},
]


@pytest.mark.parametrize("options", OPTIONS[:1], ids=["features"])
def test_a_run_says_what_was_not_at_its_default(settings, joints, options):
    run = train(settings(**options), joints)
    named = {"class_weights", "sampler", "views"} & set(options)
    assert run.card.training == {name: options[name] for name in named}


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=["features", "attention-crop", "jigsaw"])
def test_a_run_with_options_exports_what_pytorch_computes(settings, joints, options):
    run = train(settings(**options), joints)
    session = onnxruntime.InferenceSession(export_run(run.folder))
    golden = read_golden(run.folder / "golden.npz", run.card)
    (logits,) = session.run(None, {"crops": golden.crops})
    np.testing.assert_allclose(logits, golden.logits, atol=1e-3)


@pytest.mark.slow
def test_a_run_with_attention_comes_back_with_it_and_exports(settings, joints):
    run = train(settings(model="resnet18", attention="cbam", name=""), joints)
    assert run.folder.name == "resnet18+cbam-alpha-js"
    assert run.card.architecture == "resnet18+cbam"
    model, _ = load_run(run.folder)
    assert hasattr(model.backbone.layer4[2], "place")
    export_run(run.folder)


def test_a_loss_on_features_refuses_a_model_without_a_map(settings, joints):
    wanted = settings(model="mnasnet0_5", loss=LossCard(name="mutual-channel"))
    with pytest.raises(UsageError, match="mnasnet0_5 offers no feature map"):
        train(wanted, joints)
    assert list(wanted.runs.iterdir()) == []


@pytest.mark.slow
def test_class_weights_change_what_is_learnt(settings, joints):
    """A higher weight of defects raises the scores."""
    mean = {}
    for weights in ("none", "1,50"):
        run = train(settings(name=weights, model="mnasnet0_5", epochs=3, class_weights=weights), joints)
        logits = torch.from_numpy(read_golden(run.folder / "golden.npz", run.card).logits)
        mean[weights] = float((1 - logits.softmax(dim=1)[:, 0]).mean())
    assert mean["1,50"] > mean["none"]


def test_weights_reach_the_criterion(settings, joints):
    logits, targets = torch.tensor([[0.0, 3.0], [1.0, 0.0]]), torch.tensor([0, 1])
    weights = class_weights("1,4", joints.labels("train"), joints.classes)
    expected = torch.nn.functional.cross_entropy(logits, targets, weight=weights)
    torch.testing.assert_close(CrossEntropy()(logits, targets, class_weights=weights), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "side"), [("vit_b_16", 32), ("swin_t", 48), ("googlenet", 48), ("vgg16", 48), ("resnet50", 32)]
)
def test_every_family_of_the_paper_trains_a_step_and_exports(settings, joints, model, side):
    run = train(settings(model=model, image_size=side), joints)
    export_run(run.folder)
