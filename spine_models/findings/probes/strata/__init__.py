"""How far the probes can be trusted: by vendor, cohort, subgroup and sequence, and when they must not speak.

``contrasts``, ``vendors``, ``cohorts``, ``subgroups`` and ``null`` measure. ``conformal`` (abstention) and ``scope``
(is this study like those that the heads were fitted on?) guard single predictions; ``guards`` saves them, ``guarded``
is what a batch gets. ``resampling`` is the bootstrap that they share, ``tables`` the schemas.
"""
