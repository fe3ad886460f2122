"""Pulls accounts from a source into a vault."""
