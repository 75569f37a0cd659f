"""Tests of fltui.client."""
