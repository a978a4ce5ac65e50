"""What happens inside one task: arrays in, arrays out. Nothing here knows Dask or the names of columns.

    ratings        the data structures, with a worked example    ids            turns ids into positions
    in_blocks      turns ratings into in-blocks                  spark_random   start values, from a seed
    least_squares  solves the rows of a block                    streamed       the same, panel by panel
    reduced        the same, from parts that blocks of the source rows give
    fingerprint    numbers that tell ratings, and files of factors, from others

`daskals.engine` makes tasks of these functions; the arithmetic that takes the time is in `daskals.kernels`.
"""
