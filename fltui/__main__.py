"""``python -m fltui`` is the same as the command ``fltui``."""

from fltui.cli import main

main()
