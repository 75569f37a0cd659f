"""The exchange folder: what is in it, and what is in a file."""
