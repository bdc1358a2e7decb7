"""Assets of the encoder layer: what is trained on the frozen manifest."""
