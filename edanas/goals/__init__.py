"""What a search is for: objectives."""
