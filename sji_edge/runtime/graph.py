"""What every sji-edge ONNX graph looks like: its tensor names, and the card in its metadata."""

INPUT_NAME = "crops"
OUTPUT_NAME = "logits"
CARD_KEY = "sji_edge_card"
