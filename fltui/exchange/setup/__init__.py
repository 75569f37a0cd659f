"""Preparing an exchange for what carries it: the files it needs, and the steps for the people on each side."""
