"""Builds engines: from an exported model to a released bundle."""
