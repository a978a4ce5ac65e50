"""A fit, and the use of its factors, as Dask tasks.

What happens inside one task is the business of `daskals.blocks`: arrays in, arrays out. The modules here say which
tasks there are, and what one task hands to the next.

    plan           what is decided once for a fit        sides, factors   ratings and factors, as tasks
    shuffle_plan   in how many parts ratings are cut     indexing         the ids of both sides, sorted
    shuffle        turns ratings into in-blocks          start_values     the rows from which the loop begins
    panels         carry rows to the other side          half_step        solves one side, given the rows of the other
    streaming      the same, panel by panel              loop             the iterations
    between        panels from one iteration to the next, where a cluster could lose them
    predict        scores of given pairs                 queries          who is recommended to, and what may be
    recommend      the best candidates for each row      share, portions  rows that a task may hold at a time
    fold_in        rows for new ids, without a fit       some_rows        a few rows of a matrix, brought here

No module here knows the names of columns, and none reads the configuration: what was decided comes as an argument.
"""
