"""What ``fltui doctor`` looks at: whether an exchange folder keeps the promises that fltui builds on."""
