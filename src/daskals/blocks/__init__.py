"""What happens inside one task: arrays in, arrays out. No Dask, no column names.

ratings        the structures: chunks, in-blocks     ids            ids to positions
in_blocks      ratings to in-blocks                  spark_random   start values from a seed
least_squares  solving a block                       streamed       the same, panel by panel
fingerprint    telling ratings, and files of factors, from others
"""
