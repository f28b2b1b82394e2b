"""Handles engines that exist: opens, verifies, releases, rebuilds, packs and signs them."""
