"""Tests of fltui.simulator."""
