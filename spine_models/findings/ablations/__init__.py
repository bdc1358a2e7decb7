"""What each part of the system adds: the paper's comparisons, scored in the probes' harness.

``variants`` says which there are, ``vectors`` makes their study vectors, ``aligned`` those beside reports, ``scores``
and ``recall`` the table, ``tables`` the schemas. Nothing here trains anything.
"""
