"""Keeps joints of a run in a pool: which ones, and how."""
