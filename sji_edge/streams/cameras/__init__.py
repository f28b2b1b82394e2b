"""Frames from local and network cameras."""
