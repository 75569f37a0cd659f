"""Tests of `fltui.run`."""
