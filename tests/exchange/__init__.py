"""Tests of `fltui.exchange`."""
