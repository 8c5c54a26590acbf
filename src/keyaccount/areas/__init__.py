"""What a desk can do, by area."""
