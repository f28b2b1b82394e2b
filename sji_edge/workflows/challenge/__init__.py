"""A new model against the deployed one, and what follows from it."""
