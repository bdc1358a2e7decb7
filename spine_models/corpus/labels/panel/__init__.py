"""What several labellers and people make together: consensus, agreement, review, audit, drift."""
