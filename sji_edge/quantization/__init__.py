"""Calibration crops, and the INT8 and FP16 graphs made with them."""
