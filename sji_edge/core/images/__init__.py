"""Image files: read the header, check the file for damage, decode it."""
