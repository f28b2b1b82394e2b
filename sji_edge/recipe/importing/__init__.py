"""Recipes made from pick-and-place data."""
