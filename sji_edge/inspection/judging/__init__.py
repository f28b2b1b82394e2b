"""Turns a frame into a board record: checks, alignment, crops, engine, verdicts."""
