"""The layout of a crop's features, which the guard of an engine returns beside the logits."""

CELL_FEATURES = 16
"""Features of one cell of the crop. A row of features holds the first feature of every cell, then the second, …"""
