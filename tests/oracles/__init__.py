"""What published formulas say, and what flwr makes of them: see README.md here."""
