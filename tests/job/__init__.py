"""Tests of `fltui.job`."""
