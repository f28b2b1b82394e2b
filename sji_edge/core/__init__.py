"""Shared by every other package, and imports none of them."""
