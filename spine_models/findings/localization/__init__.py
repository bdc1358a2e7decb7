"""Where on which slice a condition is seen, at which level and on which side.

``targets`` turns annotations into boxes, ``learn`` fits and scores everything, ``find`` is what the agents do with a
batch. ``slices``, ``boxes`` and ``levels`` are the learned parts, ``weak`` the part that needs no annotation. Nothing
here decides whether a condition is present (``probes``).
"""
