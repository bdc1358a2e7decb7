"""Assets of the findings layer: vectors, and what they tell of the conditions."""
