"""Floor 1: datasets: folders and splits, and generated solder joints and boards."""
