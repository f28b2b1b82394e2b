"""How fast predictors are, measured side by side in one process."""
