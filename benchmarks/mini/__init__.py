"""``mini``: real speech that ships with the repository, and the tables that make data sets of it.

``cc/`` and ``gpl/`` hold the clips by licence (``ATTRIBUTION.md``); ``clips.tsv`` lists them, ``sets.tsv`` says which
data set uses which clip for what, ``trials.tsv`` the pairs for verification. ``python -m benchmarks.mini.choose``
writes all of them.
"""
