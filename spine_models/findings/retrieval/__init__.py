"""Reports and slices found by image or by text: the index, the neighbours of a study, and how good that is.

``pool`` writes and opens one set of searchable vectors, ``index`` is the pair of reports and slices, ``neighbours``
asks it for every study, ``scores`` measures on held-out patients, ``paired`` and ``variants`` compare vectors on the
same queries. Nothing here trains an encoder.
"""
