"""What a profile's training stages would cost, before anything is trained.

Belongs here: exact parameter counts of networks built without memory, formulas for FLOPs and for the memory of a
process, devices, the table that ``spineagent sizes`` prints. Does not belong here: training, choosing a profile.
``stages.stage_sizes`` makes the estimates, ``table.sizes_table`` the text.
"""
