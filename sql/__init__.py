"""The queryable face of the lake: views over its Parquet, rules that its rows obey, questions with a name.

``schema/<stage>.sql`` declares the tables of a stage, ``checks/<stage>__<rule>.sql`` finds the rows that
break a rule, ``queries/<name>.sql`` answers one question. The modules beside them read these files
(``catalogue``, ``declarations``), lay them over a lake (``warehouse``), and ask (``ask``, ``render``).

Does not belong here: anything of the domain or of the orchestrator. This package knows a lake by its folders
and by what ``schema/`` declares, reads it, and writes one file: the warehouse. Identifiers never reach it.
"""
