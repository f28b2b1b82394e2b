"""Exports a run as one ONNX file: uint8 crops in, logits out, the model card inside."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxscript.optimizer import optimize
from torch import nn

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import GateError
from sji_edge.core.files import output_errors, write_atomic
from sji_edge.exporting.surgery import fold_input_scale
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.guard import GuardedClassifier
from sji_edge.runtime.bundle.golden import Golden, read_golden
from sji_edge.runtime.bundle.manifest import GOLDEN, REFERENCE
from sji_edge.runtime.onnx_graph import CARD_KEY, GUARD_NAMES, INPUT_NAME, NOVELTY_NAME, OUTPUT_NAME

OPSET = 18
MAX_LOGIT_ERROR = 1e-3
"""Greatest |Δlogit| between PyTorch and the exported graph, relative to the largest |logit| (at least 1)."""


def export_run(run: Path) -> Path:
    """Export a run to ``RUN/model.onnx`` and compare it with PyTorch's golden logits.

    Batch normalization and the scale of the input are folded into the convolutions. The graph casts and
    transposes the crops and subtracts their mean, so the engine takes camera bytes.

    Args:
        run: a run folder.

    Returns:
        Path of the ONNX file.

    Raises:
        UsageError: not a run.
        GateError: the graph gives other logits than PyTorch did; nothing is written.
        OutputError: the file cannot be written.
    """
    model, card = load_run(run)
    golden = read_golden(run / GOLDEN, card)
    guarded = load_guard(run, model)
    proto = to_onnx(model if guarded is None else guarded, card)
    data = proto.SerializeToString()
    _check(data, golden)
    target = run / REFERENCE
    with output_errors(target):
        write_atomic(target, data)
    return target


def to_onnx(model: nn.Module, card: ModelCard) -> onnx.ModelProto:
    """Return the graph of a model with its card in the metadata; see ``export_run``."""
    example = torch.zeros((2, *card.preprocess.shape), dtype=torch.uint8)
    program = torch.onnx.export(
        model.eval(),
        (example,),
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME, *(GUARD_NAMES if isinstance(model, GuardedClassifier) else ())],
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    proto = fold_input_scale(optimize(program.model_proto))
    # The exporter's trace notes contain local paths and triple the file's size.
    del proto.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    onnx.helper.set_model_props(proto, {CARD_KEY: card.model_dump_json()})
    onnx.checker.check_model(proto)
    return proto


def _check(data: bytes, golden: Golden) -> None:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    wanted = {OUTPUT_NAME: golden.logits}
    if golden.novelty is not None:
        wanted[NOVELTY_NAME] = golden.novelty
    parts = [
        session.run(list(wanted), {INPUT_NAME: golden.crops[start : start + 64]})
        for start in range(0, len(golden.crops), 64)
    ]
    for (name, values), found in zip(wanted.items(), zip(*parts, strict=True), strict=True):
        error = float(np.abs(np.concatenate(found) - values).max())
        limit = MAX_LOGIT_ERROR * max(1.0, float(np.abs(values).max()))
        if not error <= limit:
            raise GateError(
                f"the exported graph differs from PyTorch by {error:.3g} in {name}, limit {limit:.3g}",
                hint="please report this model: its graph does not compute what PyTorch does",
            )
