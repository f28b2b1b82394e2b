"""Runs engines on the edge: bundles, and the backends that open them."""

from sji_edge.core.registry import Registry

BACKENDS = Registry(
    "backend",
    {
        "openvino": "sji_edge.runtime.openvino.backend:OpenVinoBackend",
        "onnxruntime": "sji_edge.runtime.onnxruntime:OnnxRuntimeBackend",
        "tensorrt": "sji_edge.runtime.tensorrt.backend:TensorRtBackend",
        "tensorrt-rtx": "sji_edge.runtime.tensorrt.backend:TensorRtRtxBackend",
    },
    group="sji_edge.backends",
)
