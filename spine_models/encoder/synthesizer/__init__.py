"""The synthesizer: two frozen encoders run side by side, layer by layer mixed by learned weights, for every contrast.

Belongs here: gates, the fused encoder, its two trainings (self-supervised, then with reports), files and the exported
weights. Does not belong here: training T1 and T2 themselves (backbone), the text side (clip).
``train.synthesize`` makes a fused encoder and ``align.align`` an aligned one; ``encode.Synthesizer`` and
``alignment.load_alignment`` use them, ``gate_table.gate_table`` shows the weights.
"""
