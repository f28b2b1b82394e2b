"""Measures a model on labelled joints, and reports it."""
