"""Check a recipe against its golden image, and draw it."""
