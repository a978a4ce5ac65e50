"""All that differs between Dask's schedulers: making tasks, running them, waiting, placing, asking how much there is.

A piece of work (a fit, a transform, an evaluation) asks once, when it begins, which scheduler is in force and what the
configuration says: `daskals.execution.scheduler.current_scheduler`. The answer is passed down. What another thread
changes in Dask's configuration later does not reach work that has begun.

The scheduler in force is that of any Dask collection: threads by default, a cluster when a ``distributed.Client`` is
current, whatever ``dask.config.set(scheduler=...)`` says. The same tasks run on all.

A cluster can lose workers. What that costs is decided by where results come from: the scheduler makes lost ones again
from the tasks that gave them. That is cheap for ratings (read and shuffle a part again) and ruinous for factors (run
all iterations again). So factors are pinned to the scheduler: replaced by tasks that hold the values themselves.
"""
