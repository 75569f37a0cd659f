"""Sites that stay up."""
