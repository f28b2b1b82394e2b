"""The crop kernel: its source, what nvcc made of it, and how it is made."""
