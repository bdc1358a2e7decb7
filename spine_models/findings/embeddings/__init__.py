"""Slice, series and study vectors of the frozen encoders, recomputed only where they are stale.

``slices`` embeds, ``pooling`` averages, ``tables`` holds the schemas. Nothing here trains or scores anything.
"""
