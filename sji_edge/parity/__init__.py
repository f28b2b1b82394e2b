"""Floor 2: comparing two predictors, and the gate."""
