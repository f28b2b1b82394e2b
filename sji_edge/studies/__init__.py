"""Comparing ways to train on one dataset; drives the training package."""
