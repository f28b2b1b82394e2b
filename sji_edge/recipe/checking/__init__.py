"""What a recipe is worth, and how it looks."""
