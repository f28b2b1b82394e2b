"""Floor 1: datasets: folders, splits, and generated solder joints and boards."""
