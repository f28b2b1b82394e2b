"""What watches a run: counts, latencies, metrics, alarms, the shadow."""
