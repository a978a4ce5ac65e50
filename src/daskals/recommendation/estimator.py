"""`ALS`, the counterpart of ``pyspark.ml.recommendation.ALS``: its parameters, and one fit or several.

What happens in a fit is in `daskals.recommendation.fitting`, and before the first of several fits in
`daskals.recommendation.fits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

from daskals.execution.showing import showing
from daskals.io.frames import Frame
from daskals.io.readwrite import Savable
from daskals.params.keywords import keyword_only, keyword_only_like
from daskals.params.maps import read_param_maps
from daskals.params.param import ParamMap
from daskals.recommendation.contradictions import refuse_contradictions
from daskals.recommendation.fits import fit_maps
from daskals.recommendation.fitting import FitOptions
from daskals.recommendation.model import ALSModel
from daskals.recommendation.parameters import OWN_VALUES, ALSParams
from daskals.recommendation.watching import Callback


class ALS(ALSParams, Savable):
    """Alternating least squares, the counterpart of ``pyspark.ml.recommendation.ALS``.

    Finds a row of ``rank`` numbers for every user and every item whose dot products come close to the ratings.
    Parameters have Spark's names, defaults and meaning; ``als.explainParams()`` lists them. The objectives stand
    in `daskals.kernels.objective.Objective`. With the same seed, ``numUserBlocks`` and data the factors are Spark's, to
    float32 rounding. Spark does not have those that are listed here as other parameters.

    Other Parameters
    ----------------
    precision : "single" (default) or "double"
        Normal equations in float32, fast, or in float64, as Spark. Factors are float32 in both.
    sparkRandom : "3" (default) or "2"
        Start values of Spark 3 and later, or of Spark 2.
    checkpointDir : str
        Folder or URL that the workers reach. The model is written there every ``checkpointInterval`` iterations, and
        ``fit(..., resume=True)`` goes on from the newest one. Empty by default: no checkpoints. (Configuration:
        ``daskals.checkpoint-dir``.)
    solver : "cholesky" (default), "cg", "subspace" or "auto"
        Solve each row's equations exactly, as Spark; or take ``cgSteps`` (3) conjugate gradient steps from the row as
        it was; or solve ``subspaceSize`` (64) columns of it after the other, the rest staying as it was (iALS++). The
        last two are cheaper at high rank, and close to it after a few more iterations. Not with nonnegative. "auto"
        is "cholesky" below rank 64, and "cg" from there on; with explicit ratings "subspace" from rank 384 on.
    biases : bool
        Explicit fits alone: predict mean + bias of the user + bias of the item + dot product, all of them solved
        together, with the same regularisation. The biases are two more columns of the factors, so ``model.rank`` is
        ``rank + 2``. See `ALSModel.intercept`, ``userBiases``, ``itemBiases``, and ``coldStartStrategy="bias"``.
    regExponent : float, 1 by default
        The regularisation of a row is ``regParam * n ** regExponent``, n being the number of its ratings: 1 as Spark,
        0 as implicit and most other libraries.
    userRegParam, itemRegParam : float
        Take the place of regParam for users, or for items.
    unobservedWeight : float
        Implicit fits alone: the objective of iALS, in which each pair of a user and an item, rated or not, counts so
        much, and each rating ``alpha |rating|`` besides.
    regCount : "observed" (default) or "all"
        With "all" the n of the regularisation is increased by ``unobservedWeight`` (1 if that is not set) times the
        number of rows of the other side, the weight of all pairs: so it is nearly the same for all rows.
    weightCol : str
        A column of weights >= 0: a row of weight 2 is as the same row twice, where n is concerned too.
    userCountExponent, itemCountExponent : float, 0 by default
        Each rating weighs ``n_user ** -userCountExponent * n_item ** -itemCountExponent`` over the mean of that: with
        0.5 for users, those with many ratings are less dominant. It multiplies the weight of weightCol.
    startScale : float, 1 by default
        What Spark's start rows, of length 1, are multiplied by: small ones suit fits of few iterations.
    tol : float, default 0
        Stop after the iteration in which the objective changed by at most ``tol`` times its value before. With 0 it
        never stops for that. maxIter is then the most iterations that there may be.
    patience : int, default 0
        Stop after so many iterations without a better metric of ``fit(..., validation=frame)`` than the best before.
        With 0 all iterations are run. In both cases the model is that of the best iteration.
    validationK : int, default 10
        In implicit fits the metric is NDCG of so many items for each user (`fit`, ``validation``).

    Notes
    -----
    Of Spark's own parameters these differ:

    ratingCol
        May be empty in implicit fits: each row then counts 1, whatever else the frame has.
    seed
        The default is fixed, 1994790107, as in Spark's Scala; PySpark's default changes with every process.
    numUserBlocks, numItemBlocks
        Part of the definition of the start values, as in Spark. Where set, also the number of blocks in which
        ratings are held; the automatic number otherwise (see `daskals.engine.plan`). The latter never changes a
        result. The configuration ``daskals.user-blocks`` and ``daskals.item-blocks`` overrides both.
    nonnegative
        Starts from absolute values: from Spark's start values as they are, all factors can become zero for good.
    intermediateStorageLevel, finalStorageLevel
        Have no effect; a warning says so where they are set to something else than the default. The same holds for
        checkpointInterval where no checkpointDir is set, and for patience in a fit without validation.

    A value of a wrong type raises ``TypeError`` at once; one out of range raises ``ValueError`` when `fit` is called.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> model = ALS(rank=10, seed=0, maxIter=5).fit(ratings)
    >>> test = pd.DataFrame({"user": [0, 1, 2], "item": [2, 0, 0]})
    >>> model.transform(test).prediction.astype(float).round(4).tolist()  # the numbers of Spark's own documentation
    [0.6929, 3.4736, -0.8992]
    """

    _java_class = "org.apache.spark.ml.recommendation.ALS"
    _own_params = (
        *("precision", "sparkRandom", "solver", "cgSteps", "checkpointDir"),
        *("biases", "regExponent", "userRegParam", "itemRegParam", "regCount", "unobservedWeight"),
        *("weightCol", "userCountExponent", "itemCountExponent", "startScale", "subspaceSize"),
        *("tol", "patience", "validationK"),
    )
    _own_values = OWN_VALUES

    @keyword_only
    def __init__(
        self,
        *,
        rank: int = 10,
        maxIter: int = 10,
        regParam: float = 0.1,
        numUserBlocks: int = 10,
        numItemBlocks: int = 10,
        implicitPrefs: bool = False,
        alpha: float = 1.0,
        userCol: str = "user",
        itemCol: str = "item",
        seed: int | None = None,
        ratingCol: str = "rating",
        nonnegative: bool = False,
        checkpointInterval: int = 10,
        intermediateStorageLevel: str = "MEMORY_AND_DISK",
        finalStorageLevel: str = "MEMORY_AND_DISK",
        coldStartStrategy: str = "nan",
        blockSize: int = 4096,
        precision: str = "single",
        sparkRandom: str = "3",
        solver: str = "cholesky",
        cgSteps: int = 3,
        checkpointDir: str = "",
        biases: bool = False,
        regExponent: float = 1.0,
        userRegParam: float | None = None,
        itemRegParam: float | None = None,
        regCount: str = "observed",
        unobservedWeight: float | None = None,
        weightCol: str = "",
        userCountExponent: float = 0.0,
        itemCountExponent: float = 0.0,
        startScale: float = 1.0,
        subspaceSize: int = 64,
        tol: float = 0.0,
        patience: int = 0,
        validationK: int = 10,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    def setNumBlocks(self, value: int) -> Self:
        """Set numUserBlocks and numItemBlocks and return self."""
        return self._set(numUserBlocks=value, numItemBlocks=value)

    @overload
    def fit(
        self,
        dataset: Frame,
        params: ParamMap | None = None,
        *,
        resume: bool = False,
        validation: Frame | None = None,
        callbacks: Sequence[Callback] = (),
        initialModel: ALSModel | None = None,
        verbose: bool | None = None,
    ) -> ALSModel: ...

    @overload
    def fit(
        self,
        dataset: Frame,
        params: Sequence[ParamMap],
        *,
        validation: Frame | None = None,
        callbacks: Sequence[Callback] = (),
        initialModel: ALSModel | None = None,
        verbose: bool | None = None,
    ) -> list[ALSModel]: ...

    def fit(
        self,
        dataset: Frame,
        params: ParamMap | Iterable[ParamMap] | None = None,
        *,
        resume: bool = False,
        validation: Frame | None = None,
        callbacks: Sequence[Callback] = (),
        initialModel: ALSModel | None = None,
        verbose: bool | None = None,
    ) -> ALSModel | list[ALSModel]:
        """Fit a model to ratings.

        Parameters
        ----------
        dataset : pandas.DataFrame, dask.dataframe.DataFrame or another frame
            With a column of users, one of items (integers of any width, strings, categories or dates) and one of
            ratings (numbers; truth values count 0 and 1). A pair that occurs twice counts twice. A dask frame is read
            once, on the workers. Polars frames, Arrow tables and whatever offers an Arrow stream (DuckDB's relations,
            record batch readers) are read through Arrow, these columns only.

            Also a SciPy sparse matrix, in which rows are users, columns are items and each stored entry is a rating
            (zeros that are stored as well; an entry that a COO matrix stores twice counts twice), or a numeric array
            with three columns: users, items, ratings. Their row and column numbers, or whole numbers, are the ids.
        params : dict, or list of dict, optional
            Values that override those of this estimator: ``{als.maxIter: 20}``. For a list, a model each.
        resume : bool
            Go on from the newest checkpoint in ``checkpointDir``, which an earlier fit of the same ratings and
            parameters left there, on whatever cluster; from the beginning if there is none. The result is that of
            an undisturbed fit: where ``tol`` or ``patience`` would have stopped before that checkpoint, an earlier one
            is taken. Pass the same ``validation`` and ``initialModel`` as before.
        validation : frame, optional
            Ratings that were held out, with the columns of ``dataset``. After each iteration the factors are measured
            by them, on the workers, and the model gets those of the best iteration (the first one, if several are
            equal). ``model.history`` has the metric, and ``model.bestIteration`` the number; ``patience`` stops early.

            Explicit fits are measured by the RMSE of predictions, in the column ``validationRmse``; implicit ones by
            NDCG of the best ``validationK`` items for each user, without those that the user has in ``dataset``, in the
            column ``validationNdcg``. There, rows of rating above 0 call an item relevant, unless ``dataset`` has the
            pair as well, and users to whom something is relevant count alike. Rows whose user or item is not in
            ``dataset`` are left out: no iteration would change what is said of them.
        callbacks : list of functions, optional
            Each is called in this process after each iteration that the fit runs itself, and after a checkpoint that is
            due, with a `daskals.recommendation.watching.IterationInfo`, which has an example. True stops the fit, None
            and False let it go on; what one raises ends the fit and comes out of here.
        initialModel : ALSModel, optional
            Start from its factors: users and items that it has from their rows (in nonnegative fits from their absolute
            values), others from the start values of ``seed``, as in any fit. What it has besides is dropped. With
            explicit ratings and the exact solver 2 iterations that start from a model of 3 are iterations 4 and 5 of
            the same fit. Part of what must agree with a checkpoint: its factors, not its name.
        verbose : bool, optional
            Whether progress is shown on standard error: what is done, each iteration, time left. None follows the
            configuration ``daskals.progress``, which is "auto": in a terminal and in a notebook.

        Returns
        -------
        ALSModel, or list of ALSModel
            Its factors stay on the workers (with the default scheduler: in this process). Frames that it makes are
            of the kind of ``dataset``: Polars, PyArrow (for all Arrow streams), Dask, else pandas.

        Raises
        ------
        TypeError
            No frame, matrix or array; a Polars LazyFrame, which is to be collected; ids or ratings of a type that
            cannot be such; ids of another kind in validation or initialModel than in ``dataset``; an initialModel
            that is no ALSModel; callbacks that are no list of functions, or return something else.
        ValueError
            A parameter out of range; a missing column; a null id, a fractional one; a null, NaN or infinite
            rating; no ratings at all; a row of factors that the ratings do not determine (regParam 0); a
            checkpoint of other ratings or parameters, or other validation rows; resume without checkpointDir; an
            initialModel of another rank; validation of which no row counts, or with faults as above.
        RuntimeError
            The factors of initialModel were on a cluster whose client is closed.
        OSError
            A checkpoint cannot be written. Earlier ones stay usable.

        Examples
        --------
        >>> from daskals.datasets import make_ratings
        >>> ratings = make_ratings(n_users=60, n_items=40, n_ratings=1200, seed=1)
        >>> model = ALS(rank=8, maxIter=30, patience=3).fit(ratings.iloc[200:], validation=ratings.iloc[:200])
        >>> int(model.history.validationRmse.argmin()) + 1 == model.bestIteration
        True
        >>> more = ALS(rank=8, maxIter=2).fit(ratings, initialModel=model)  # 2 more iterations
        """
        maps, several = read_param_maps(params)
        options = FitOptions(resume, validation, callbacks, initialModel)
        with showing(verbose):
            models = [model for _, model in fit_maps(self, dataset, maps, options)]
        return models if several else models[0]

    def fitMultiple(self, dataset: Frame, paramMaps: Sequence[ParamMap]) -> Iterator[tuple[int, ALSModel]]:
        """Fit a model for each map of parameters: an iterator of (place of the map, model).

        Several threads may take from it at once, and their fits run at once. The ratings are read and shuffled once for
        all maps that do not change columns or blocks. Errors are those of `fit`, parameters are checked beforehand.
        """
        return fit_maps(self, dataset, paramMaps)

    def validate(self) -> None:
        """Raise one ``ValueError`` that names every value out of range and what is allowed."""
        super().validate()
        refuse_contradictions(self)
