"""Early exits: heads, confidence criteria, a network that really stops, profiles, threshold setting."""
