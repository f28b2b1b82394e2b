"""Writes a run's records and pictures."""
