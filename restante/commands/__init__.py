"""One small module for each command, or family of commands."""
