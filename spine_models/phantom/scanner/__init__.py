"""The scanner's physics: sequences, stacks of slices, signal, artefacts and derived images.

Belongs here: from tissues in space to stored integers. Does not belong here: headers and vendors (``dicom``), what is
ill (``body``).
"""
