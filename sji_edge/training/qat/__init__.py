"""Quantization-aware fine-tuning of a Q/DQ graph."""
