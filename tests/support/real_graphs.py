"""Real backbones, exported as sji-edge export does: random weights, small crops, the card inside."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from support.tiny_bundle import card

from sji_edge.core.card import PreprocessSpec
from sji_edge.quantization.fp16 import to_half
from sji_edge.quantization.int8.quantizer import Quantizer, Scheme

SIDE = 32


@cache
def exported(architecture: str) -> bytes:
    import torch

    from sji_edge.exporting.onnx import to_onnx
    from sji_edge.models.classifier import JointClassifier

    spec = PreprocessSpec(height=SIDE, width=SIDE, channels=1)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(
            JointClassifier(architecture, 2, spec), card(architecture=architecture, preprocess=spec)
        )
    return model.SerializeToString()


def write_real_graph(folder: Path, architecture: str, precision: str) -> Path:
    """Write the FP32, FP16 or Q/DQ INT8 graph of a backbone."""
    target = folder / f"{architecture}-{precision}.onnx"
    target.write_bytes(_converted(architecture, precision))
    return target


@cache
def _converted(architecture: str, precision: str) -> bytes:
    model = onnx.load_from_string(exported(architecture))
    if precision == "fp16":
        model = to_half(model)
    elif precision == "int8":
        crops = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 1), dtype=np.uint8)
        model = Quantizer(model, crops, Scheme(symmetric=True, weight_bits=8), "minmax").quantize(())
    return model.SerializeToString()
