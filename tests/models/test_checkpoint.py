import numpy as np
import pytest
import torch
import torchvision
from support.tiny_bundle import card

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.checkpoint import card_of_run, load_run, load_weights, save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of

SPEC = PreprocessSpec(height=32, width=32, channels=1)
COLOUR = PreprocessSpec(height=32, width=32, channels=3)
NAME = "mnasnet0_5"
CROPS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), dtype=np.uint8)


def model(seed: int = 0, classes: int = 2, spec: PreprocessSpec = SPEC, name: str = NAME) -> JointClassifier:
    torch.manual_seed(seed)
    return JointClassifier(name, classes, spec)


def run_card(**changes):
    return card(architecture=NAME, preprocess=SPEC, **changes)


@pytest.fixture
def run(tmp_path):
    save_run(tmp_path, model(), run_card())
    return tmp_path


def test_a_run_comes_back_with_the_same_logits(run):
    loaded, its_card = load_run(run)
    assert its_card == run_card()
    assert not loaded.training
    assert np.array_equal(logits_of(loaded, CROPS), logits_of(model(), CROPS))


def test_logits_do_not_depend_on_the_batch_and_the_mode_is_kept():
    own = model().train()
    np.testing.assert_allclose(logits_of(own, CROPS, batch=2), logits_of(own, CROPS), atol=1e-5)
    assert own.training


def test_a_folder_without_a_card_is_no_run(tmp_path):
    with pytest.raises(UsageError, match=r"is not a run: it holds no card\.json"):
        card_of_run(tmp_path)
    with pytest.raises(UsageError, match="is not a run"):
        load_run(tmp_path / "gone")


def test_a_run_whose_weights_are_missing_altered_or_of_another_model_is_refused(run):
    weights = run / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(UsageError, match="does not hold the weights that its card describes"):
        load_run(run)
    weights.unlink()
    with pytest.raises(UsageError, match="does not hold the weights"):
        load_run(run)
    weights.write_bytes(whole)
    (run / "card.json").write_text(run_card(classes=("normal", "b", "c")).model_dump_json(), encoding="utf-8")
    with pytest.raises(UsageError, match="does not hold the weights"):
        load_run(run)


def test_weights_start_another_model_but_for_a_last_layer_of_another_width(run):
    same = model(seed=1)
    assert load_weights(same, run) == []
    assert np.array_equal(logits_of(same, CROPS), logits_of(model(), CROPS))
    wider = model(seed=1, classes=4)
    assert load_weights(wider, run / "weights.safetensors") == [
        "backbone.classifier.1.bias",
        "backbone.classifier.1.weight",
    ]


def test_a_stem_for_other_colours_answers_a_grey_image_alike(run):
    colour = model(seed=1, spec=COLOUR)
    load_weights(colour, run)
    # Compared behind the normalization, which differs between grey and colour.
    grey = torch.from_numpy(CROPS).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        expected = model().eval().backbone(grey)
        torch.testing.assert_close(
            colour.eval().backbone(grey.repeat(1, 3, 1, 1)), expected, atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("spec", [SPEC, COLOUR], ids=["grey", "bgr"])
def test_torchvisions_own_weights_are_taken_as_rgb(tmp_path, spec):
    theirs = torchvision.models.get_model(NAME, weights=None, num_classes=2).eval()
    torch.save(theirs.state_dict(), tmp_path / "mnasnet.pth")
    ours = model(seed=1, spec=spec).eval()
    assert load_weights(ours, tmp_path / "mnasnet.pth") == []
    bgr = torch.rand(3, spec.channels, 32, 32)
    with torch.inference_mode():
        expected = theirs(bgr.flip(1) if spec.channels == 3 else bgr.repeat(1, 3, 1, 1))
        torch.testing.assert_close(ours.backbone(bgr), expected, atol=1e-4, rtol=1e-3)


def test_weights_of_another_architecture_are_refused(run):
    with pytest.raises(
        UsageError, match=r"weights of mnasnet0_5, which does not fit squeezenet1_1: \S+ is missing"
    ) as caught:
        load_weights(model(name="squeezenet1_1"), run)
    assert "choose the model" in caught.value.hint
    with pytest.raises(UsageError, match=r"does not fit mnasnet0_75: \S+ has the shape"):
        load_weights(model(name="mnasnet0_75"), run)


def test_a_smaller_network_of_the_family_is_no_start_for_a_larger_one(tmp_path):
    torch.save(model(name="resnet18").state_dict(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match="is missing"):
        load_weights(model(name="resnet34"), tmp_path / "w.pt")


class Harmful:
    """Unpickled, it would run code."""

    def __reduce__(self):
        return (print, ("executed",))


def test_files_that_hold_no_weights_are_refused_and_no_pickle_is_run(tmp_path, capsys):
    (tmp_path / "text.pt").write_text("weights")
    torch.save({"weights": Harmful()}, tmp_path / "harmful.pt")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "other.ckpt")
    for name, said in {
        "text.pt": "holds no readable weights: ",
        "harmful.pt": r"is a checkpoint that holds Python objects \(__builtin__.print\) in addition to its weights",
        "gone.pt": "No such file",
        "other.ckpt": "is a dictionary without a state dictionary of tensors; it holds: epoch, state_dict",
    }.items():
        with pytest.raises(UsageError, match=said):
            load_weights(model(), tmp_path / name)
    assert capsys.readouterr().out == ""
