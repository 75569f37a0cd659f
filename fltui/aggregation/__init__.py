"""Pure array maths over blocks of elements: knows nothing of files, sites or rounds."""
