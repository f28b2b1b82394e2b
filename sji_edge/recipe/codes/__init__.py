"""Codes on a board: where they are printed, and how they are read."""
