"""Tests of `fltui.aggregation`."""
