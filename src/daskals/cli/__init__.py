"""The command ``daskals``: from a file of ratings to recommendations, without a line of Python.

`daskals.cli.main` has the command; each of its commands is a module of its own, which is imported when it is called
for. So ``daskals --help`` brings neither Dask nor NumPy.
"""
