import numpy as np
import pytest
import torch
from torch.nn import functional

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.attention import CBAM, SqueezeExcitation, split_architecture
from sji_edge.models.backbones import build_backbone
from sji_edge.models.checkpoint import load_weights
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.features import FeatureTap
from sji_edge.models.predict import logits_of

SPEC = PreprocessSpec(height=32, width=32, channels=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mlp(module, x):
    first, _, last = module.weigh
    hidden = np.maximum(0, x @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    return hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()


def test_squeeze_and_excitation_is_its_formula():
    torch.manual_seed(0)
    module, x = SqueezeExcitation(32), torch.randn(2, 32, 3, 4)
    weights = sigmoid(mlp(module, x.numpy().mean(axis=(2, 3))))
    np.testing.assert_allclose(module(x).detach(), x.numpy() * weights[:, :, None, None], atol=1e-5)


def test_cbam_is_its_formula():
    torch.manual_seed(0)
    module, x = CBAM(32), torch.randn(2, 32, 5, 4)
    v = x.numpy()
    v = v * sigmoid(mlp(module, v.mean(axis=(2, 3))) + mlp(module, v.max(axis=(2, 3))))[:, :, None, None]
    across = torch.from_numpy(np.stack([v.mean(axis=1), v.max(axis=1)], axis=1))
    place = functional.conv2d(across, module.place.weight, module.place.bias, padding=3).detach().numpy()
    np.testing.assert_allclose(module(x).detach(), v * sigmoid(place), atol=1e-5)


@pytest.mark.parametrize("attention", ["cbam", "se"])
def test_attention_follows_every_stage_and_leaves_the_other_tensors_their_names(tmp_path, attention):
    plain = JointClassifier("resnet18", 2, SPEC)
    model = JointClassifier(f"resnet18+{attention}", 2, SPEC)
    new = set(model.state_dict()) - set(plain.state_dict())
    assert {name.split(".")[1] for name in new} == {"layer1", "layer2", "layer3", "layer4"}
    assert set(plain.state_dict()) <= set(model.state_dict())
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    assert set(load_weights(model, tmp_path / "plain.pt")) == new
    part = {name: tensor for name, tensor in plain.state_dict().items() if "layer1.1.conv1" not in name}
    torch.save(part, tmp_path / "part.pt")
    with pytest.raises(UsageError, match=r"backbone\.layer1\.1\.conv1\.weight is missing"):
        load_weights(model, tmp_path / "part.pt")


def test_unknown_attention_and_models_without_stages_are_usage_errors():
    assert split_architecture("resnet18+cbam") == ("resnet18", "cbam")
    assert split_architecture("vgg16") == ("vgg16", "")
    with pytest.raises(UsageError, match="unknown attention 'cbm'") as caught:
        build_backbone("resnet18+cbm", 2, 1, (32, 32), imagenet=False)
    assert caught.value.hint == "did you mean 'cbam'?"
    with pytest.raises(UsageError, match="mnasnet0_5 has no ResNet stages"):
        build_backbone("mnasnet0_5+se", 2, 1, (32, 32), imagenet=False)
    with pytest.raises(UsageError, match="unknown model 'resnet_18'"):
        build_backbone("resnet_18+se", 2, 1, (32, 32), imagenet=False)


def test_the_tap_gives_what_the_global_pooling_got_and_changes_no_logit():
    model = JointClassifier("resnet18+se", 2, SPEC).eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), dtype=np.uint8)
    before = logits_of(model, crops)
    tap = FeatureTap(model, model.architecture)
    logits = model(torch.from_numpy(crops))
    features = tap.take()
    assert np.array_equal(logits.detach().numpy(), before)
    torch.testing.assert_close(model.backbone.fc(features.mean(dim=(2, 3))), logits)
    with pytest.raises(UsageError, match="offers no feature map"):
        tap.take()
    tap.close()
    model(torch.from_numpy(crops))
    with pytest.raises(UsageError, match=r"resnet18\+se offers no feature map"):
        tap.take()


def test_a_model_that_pools_without_a_module_offers_no_map():
    model = JointClassifier("mnasnet0_5", 2, SPEC)
    tap = FeatureTap(model, model.architecture)
    model(torch.zeros(2, 32, 32, 1, dtype=torch.uint8))
    with pytest.raises(UsageError, match="mnasnet0_5 offers no feature map"):
        tap.take()
