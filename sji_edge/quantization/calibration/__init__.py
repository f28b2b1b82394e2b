"""Calibration sets: how crops are chosen, audited and stored."""
