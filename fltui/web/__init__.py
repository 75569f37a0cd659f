"""The console in a browser: a small web server that starts one console for each page and passes its terminal on."""

DRIVER = "fltui.web.driver:BrowserDriver"
"""What Textual is to draw with there, as ``TEXTUAL_DRIVER`` has it."""
