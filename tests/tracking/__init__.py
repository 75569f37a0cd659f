"""Tests of tracking: what is told, and that the trackers' own readers say what ``metrics.csv`` says."""
