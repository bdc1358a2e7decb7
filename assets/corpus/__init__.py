"""Assets of the corpus layer: from raw files to de-identified, classified, labelled, sharded studies."""
