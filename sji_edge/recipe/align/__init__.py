"""Align a frame to its recipe."""
