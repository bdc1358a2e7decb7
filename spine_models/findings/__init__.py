"""What the frozen encoders see: vectors of slices, series and studies, and probes of the conditions."""
