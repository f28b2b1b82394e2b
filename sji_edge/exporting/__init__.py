"""From a trained run to an ONNX graph that carries its card."""
