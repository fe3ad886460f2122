"""Replays snapshots from a vault to any target."""
