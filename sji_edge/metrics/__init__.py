"""Metrics of verdicts, scores and probabilities; NumPy only."""
