"""Calibration sets: chosen, audited, stored."""
