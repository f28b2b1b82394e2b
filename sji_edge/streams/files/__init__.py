"""Frames from images, watched folders and videos."""
