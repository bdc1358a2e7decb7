"""What several labellers and people make together: consensus, agreement, review, audit, drift.

Belongs here: nothing but this line; every table has a module of its own and ``labels`` exports the functions. Does
not belong here: reading reports (``rules``, ``llm``).
"""
