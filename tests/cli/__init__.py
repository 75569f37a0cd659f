"""Tests of fltui.cli."""
