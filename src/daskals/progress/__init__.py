"""What a person sees while work is under way: a bar in a terminal, a widget in a notebook, or plain lines.

    works       what other packages call         display     shows what is under way, from a thread of its own
    lines       what is said of it, as text      screens     where that is shown: bars or lines

A public call opens a display (`showing`, by way of `daskals.execution.showing`), for itself and all that it calls. What
does the work says so where it begins and ends::

    with stage("Reading the ratings", unit="parts"):           one thing; whoever waits for tasks counts (`counter`)
        ...
    with steps("Fitting", 10) as fitting:                      several, one after another
        for iteration in loop:
            fitting.step(f"RMSE {iteration.rmse:.4g}")

Which display is in force is a context variable: threads of a pool see that of their caller where they are given the
caller's context. Where none is in force these calls return at once. The loop over iterations knows nothing of all this:
progress is a caller of it (`daskals.engine.loop`).
"""

from daskals.progress.display import Display
from daskals.progress.lines import duration
from daskals.progress.works import Steps, aside, compiling, counter, is_decided, showing, stage, steps

__all__ = ["Display", "Steps", "aside", "compiling", "counter", "duration", "is_decided", "showing", "stage", "steps"]
