"""Assets of the reporting layer: typed claims and the drafts built on them."""
