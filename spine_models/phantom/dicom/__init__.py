"""DICOM of the phantom hospital, as five makers of scanners write it.

Belongs here: scanners, names, headers, private blocks, layouts, transfer syntaxes, faults and hostile files.
Does not belong here: pixels (``scanner``), people and their identifiers (``records``).
"""
