"""Tasks and the schedulers that run them. All that differs between Dask's schedulers is here.

    tasks        making a task                       scheduler        the scheduler in force; running tasks on it
    settings     daskals' keys in Dask's config      placement        on which worker a task had best run
    waiting      for a cluster; losses of workers    memory, blas, shared_context    settings of this process
    in_force     which of Dask's schedulers          seceding         waiting from inside a task of a cluster
    showing      whether progress is shown           compilations     what workers tell of kernels they compile

A piece of work (a fit, a transform, an evaluation) asks once, when it begins, which scheduler is in force and what the
configuration says (`daskals.execution.scheduler.current_scheduler`), and passes the answer down. So what another thread
changes in Dask's configuration later does not reach work that has begun.

The scheduler in force is the one that any Dask collection would use: threads by default, a cluster when a
``distributed.Client`` is current, or what ``dask.config.set(scheduler=...)`` says. The same tasks run on all of them.

A cluster can lose workers, and with them the results that they hold. The scheduler then runs the tasks again that made
these results. For ratings this is cheap: a part is read and shuffled again. For factors it is ruinous: all iterations
run again. So factors are *pinned*: they are sent to the scheduler, inside tasks that do nothing but return them.
"""

# so that every worker tells of kernels that it compiles: whatever task it runs, this package is imported for it
from daskals.execution import compilations as compilations
