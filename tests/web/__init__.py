"""Tests of the console's web server; `tests/engines/test_browser.py` opens it in a browser."""
