"""Frames from machine-vision cameras."""
