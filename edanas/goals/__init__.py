"""What a search is for: objectives, and constraints."""
