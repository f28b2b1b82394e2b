"""Engines that exist already: proved on this machine, rebuilt for it, checked against their golden crops."""
