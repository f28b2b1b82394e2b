"""Floor 2: ONNX with the card inside."""
