"""The engine bundle: its files, their hashes, its signature, its archive."""
