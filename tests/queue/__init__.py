"""What a queue is."""
