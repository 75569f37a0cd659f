"""Tests of fltui.simulator.cluster."""
