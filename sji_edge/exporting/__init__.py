"""Exports a trained run to an ONNX graph with the model card inside."""
