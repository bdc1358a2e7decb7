"""The patient's body: what is ill, how the spine is built, and which tissue lies where.

Belongs here: conditions, anatomy and lesions as tissues in space. Does not belong here: signal, slices (``scanner``),
names and words (``records``).
"""
