import numpy as np
import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.backbones import build_backbone, has_local_imagenet
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.features import FeatureTap
from sji_edge.models.guard import guard_layers
from sji_edge.models.predict import logits_of


@pytest.mark.parametrize(
    ("name", "stages"), [("joint_net_s", [16, 32, 64, 128]), ("joint_net_m", [32, 64, 96, 160])]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_joint_net_is_nothing_but_3x3_convolutions_and_one_linear_layer(name, stages, channels):
    model = JointClassifier(name, 4, PreprocessSpec(channels=channels))
    kernels = [one for one in model.modules() if isinstance(one, torch.nn.Conv2d)]
    assert {(one.kernel_size, one.groups) for one in kernels} == {((3, 3), 1)}
    assert [one.out_channels for one in kernels if one.stride == (2, 2)] == stages
    assert kernels[0].in_channels == channels
    crops = np.random.default_rng(0).integers(0, 256, (3, 84, 84, channels), dtype=np.uint8)
    assert logits_of(model, crops).shape == (3, 4)


def test_the_small_one_has_the_size_that_was_measured():
    model = JointClassifier("joint_net_s", 2, PreprocessSpec())
    assert sum(tensor.numel() for tensor in model.parameters()) == pytest.approx(292_000, rel=0.01)


def test_a_guard_finds_its_maps_at_stride_8_and_16():
    spec = PreprocessSpec()
    model = JointClassifier("joint_net_s", 2, spec).eval()
    assert guard_layers(model, spec.shape) == (("backbone.stages.1", "backbone.stages"), (64, 128))


def test_losses_and_second_views_find_its_feature_map():
    model = JointClassifier("joint_net_s", 2, PreprocessSpec()).eval()
    tap = FeatureTap(model, model.architecture)
    model(torch.zeros(2, 84, 84, 1, dtype=torch.uint8))
    assert tap.take().shape == (2, 128, 6, 6)


@pytest.mark.parametrize("side", [16, 33])
def test_small_and_odd_crops_train(side):
    model = JointClassifier("joint_net_s", 2, PreprocessSpec(height=side, width=side))
    model(torch.zeros(2, side, side, 1, dtype=torch.uint8)).sum().backward()


def test_there_are_no_imagenet_weights_to_start_from():
    assert not has_local_imagenet("joint_net_s")
    with pytest.raises(UsageError, match="there are no ImageNet weights of joint_net_s") as caught:
        build_backbone("joint_net_s", 2, 1, (84, 84), imagenet=True)
    assert "distill" in caught.value.hint


def test_attention_belongs_to_a_resnet():
    with pytest.raises(UsageError, match="joint_net_s has no ResNet stages"):
        build_backbone("joint_net_s+cbam", 2, 1, (84, 84), imagenet=False)
