"""A site that stays up: it waits for whatever run asks it, and runs the jobs that its administrator agrees to."""
