"""The screens of the console, and the questions above them."""
