"""Tests of `fltui.workflows`."""
