"""What a head's probability rests on: series, slices and patches, what happens without them, and how true that is.

``terms`` writes a head as a sum, ``weights`` shares it out, ``knockouts`` leaves parts out, ``saliency`` looks into
a slice, ``boxes`` and ``judge`` hold that against annotations, ``explain`` does it for one study in a notebook.
"""
