"""Compares two models on the same crops."""
