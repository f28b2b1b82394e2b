"""Floor 2: the Lightning module and the set-up of its trainer."""
