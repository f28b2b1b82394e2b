"""Engines on the edge: the bundle, and one file per backend."""

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
