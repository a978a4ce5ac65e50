"""A fit, and the use of its factors, as Dask tasks: blocks are arrays inside a task, and this is what lies between.

    plan           what is decided once a fit          sides, factors   the ratings and the factors in blocks
    shuffle        ratings to in-blocks of both sides  start_values     where the loop begins
    panels         rows on their way to the other side half_step        the rows of one side from those of the other
    streaming      a half-step, panel by panel         loop             the iterations
    predict        scores of given pairs               recommend        the best candidates of each row

No module here knows names of columns, or settings: what was decided comes as an argument.
"""
