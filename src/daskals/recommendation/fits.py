"""Several fits, or one: what can be checked before any work is, and then they come one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from daskals.execution.scheduler import current_scheduler
from daskals.execution.showing import showing
from daskals.io.foreign import rereadable
from daskals.io.frames import Frame
from daskals.params.param import ParamMap
from daskals.recommendation.fit_iterator import FitIterator
from daskals.recommendation.fitting import Fit, FitOptions, Prepared, preparation_key, prepare
from daskals.recommendation.meanings import checkpoint_folder
from daskals.recommendation.model import ALSModel
from daskals.recommendation.parameters import ALSParams
from daskals.recommendation.warm_start import Chain, check_initial_model
from daskals.recommendation.watching import check_callbacks

if TYPE_CHECKING:
    from daskals.recommendation.estimator import ALS

Fits: TypeAlias = "FitIterator[ALS, Prepared, ALSModel]"


def fit_maps(
    als: ALS, dataset: Frame, maps: Sequence[ParamMap], options: FitOptions | None = None, *, chained: bool = False
) -> Fits:
    """Fits of an estimator with each of the maps; the work is done as the result is iterated over.

    ``chained``: each fit starts from the model of the one before (`daskals.recommendation.warm_start.Chain`). Then only
    one thread may iterate. The errors are those of `ALS.fit`; a warning is told of the caller's caller.
    """
    scheduler, options = current_scheduler(), options or FitOptions()
    estimators = [als.copy(each) for each in maps]
    folders = [checkpoint_folder(estimator, scheduler.settings) for estimator in estimators]
    for estimator in estimators:
        estimator.validate()
        if options.initial_model is not None:
            check_initial_model(options.initial_model, estimator)
    check_callbacks(options.callbacks)
    if options.resume and None in folders:
        raise ValueError("fit(..., resume=True) needs checkpointDir, the folder of the checkpoints to go on from")
    if len(estimators) > 1 and any(folders):
        raise ValueError("Several fits cannot share one checkpointDir: fit them one by one, each with its own")
    if len(estimators) > 1:
        dataset = rereadable(dataset)
        if options.validation is not None:
            options = replace(options, validation=rereadable(options.validation))
    pairs = zip(estimators, folders, strict=True)
    idle = [text for estimator, folder in pairs for text in settings_without_effect(estimator, folder, options)]
    for text in dict.fromkeys(idle):
        warnings.warn(text, stacklevel=3)
    chain = Chain()

    def fit(estimator: ALS, prepared: Prepared) -> ALSModel:
        with showing(None):
            if not chained:
                return Fit(estimator, scheduler, prepared, options).run()
            start = replace(options, initial_model=chain.before(estimator))
            return chain.add(estimator, Fit(estimator, scheduler, prepared, start).run())

    def prepared_for(estimator: ALS) -> Prepared:
        with showing(None):
            return prepare(estimator, scheduler, dataset, options.validation)

    return FitIterator(
        estimators,
        key=lambda estimator: preparation_key(estimator, scheduler.settings),
        prepare=prepared_for,
        fit=fit,
    )


def settings_without_effect(params: ALSParams, checkpoint_dir: str | None, options: FitOptions) -> list[str]:
    """A sentence for each parameter that was set to something else than its default and has no effect."""
    where = {"intermediateStorageLevel": "", "finalStorageLevel": ""}
    if checkpoint_dir is None:
        where["checkpointInterval"] = " without checkpointDir"
    if options.validation is None:
        where["patience"] = " without fit(..., validation=frame)"
    return [
        f"{name}={params.getOrDefault(name)!r} has no effect in daskals{reason}"
        for name, reason in where.items()
        if params.getOrDefault(name) != params.getParam(name).default
    ]
