"""Generated solder joints and boards."""
