"""Watches a run: counts, latencies, metrics, alarms, shadow parity."""
