"""Measures a run, an exported graph or an engine on labelled joints."""
