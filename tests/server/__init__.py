"""Tests of fltui.server."""
