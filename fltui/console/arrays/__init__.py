"""Arrays of any size, read where they can be seen."""
