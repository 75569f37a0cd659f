"""Measurements of fltui against the least that the same work costs. Run ``python -m benchmarks --help``."""
