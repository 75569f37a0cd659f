"""Metrics as lines of characters."""
