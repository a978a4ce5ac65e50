"""Which parameter was meant by a name that is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: What other libraries call Spark's parameters: implicit, LensKit, Surprise, cmfrec, scikit-learn, and Spark itself in
#: its older interface and in SQL.
ELSEWHERE = {
    "rank": ("factors", "features", "num_factors", "n_factors", "n_components", "embedding_size", "latent_factors"),
    "maxIter": ("iterations", "num_iterations", "n_iterations", "n_iter", "epochs", "n_epochs", "num_epochs"),
    "regParam": ("regularization", "regularisation", "lambda", "lamb", "reg", "reg_all", "l2", "damping"),
    "seed": ("random_state", "random_seed", "rng", "rng_seed"),
    "implicitPrefs": ("implicit", "implicit_feedback", "use_implicit", "feedback"),
    "nonnegative": ("non_negative", "positive", "nonneg"),
    "alpha": ("confidence", "confidence_weight"),
    "solver": ("use_cg", "method"),
    "cgSteps": ("cg_iterations", "cg_max_iterations", "max_cg_steps"),
    "precision": ("dtype", "use_float"),
    "userCol": ("user_id", "users", "user_column"),
    "itemCol": ("item_id", "items", "item_column", "product_col"),
    "ratingCol": ("ratings", "rating_column", "weight", "weights", "value_col"),
    "checkpointDir": ("checkpoint_path", "checkpoint_folder"),
    "metricName": ("metric", "scoring"),
    "estimatorParamMaps": ("param_grid", "grid"),
    "numFolds": ("cv", "folds", "n_splits", "k_folds"),
    "parallelism": ("n_jobs", "num_threads", "threads"),
    "trainRatio": ("train_size", "train_fraction"),
}
_MEANT = {name.replace("_", ""): param for param, names in ELSEWHERE.items() for name in names}

#: How alike the letters of two names must be (`difflib`, 0 to 1): to ask whether one was meant for the other, and to
#: be sure of it.
RESEMBLES, IS_MISSPELT = 0.7, 0.9


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: in another spelling, of another library, or mistyped; else None.

    >>> nearest("max_iter", ["rank", "maxIter"])
    'maxIter'
    >>> nearest("n_factors", ["rank", "maxIter"])
    'rank'
    >>> nearest("colour", ["rank", "maxIter"])
    """
    known = list(known)
    elsewhere = _MEANT.get(_letters(name))
    return misspelt(name, known) or (elsewhere if elsewhere in known else misspelt(name, known, RESEMBLES))


def misspelt(name: str, known: Iterable[str], likeness: float = IS_MISSPELT) -> str | None:
    """The known name of which this one is another spelling, or a misspelling; else None.

    >>> misspelt("maxiter", ["rank", "maxIter"])
    'maxIter'
    >>> misspelt("n_factors", ["rank", "maxIter"])
    """
    by_letters = {_letters(each): each for each in known}
    alike = difflib.get_close_matches(_letters(name), by_letters, n=1, cutoff=likeness)
    return by_letters[alike[0]] if alike else None


def explain_unknown(names: Iterable[str], known: Iterable[str]) -> str:
    """How an error goes on after "it has no parameter": unknown names, and those that were meant.

    All known ones are listed where a name resembles none of them.

    >>> explain_unknown(["max_iter"], ["rank", "maxIter"])
    "'max_iter' (did you mean maxIter?)"
    >>> explain_unknown(["colour"], ["rank", "maxIter"])
    "'colour'; its parameters are rank, maxIter"
    """
    known = list(known)
    meant = {name: nearest(name, known) for name in names}
    text = ", ".join(f"{name!r} (did you mean {near}?)" if near else repr(name) for name, near in meant.items())
    return text if all(meant.values()) else f"{text}; its parameters are {', '.join(known)}"


def _letters(name: str) -> str:
    """A name without what differs between ways of writing: ``max_iter``, ``maxIter`` and ``MaxIter`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def shown(value: object) -> str:
    """A value as it stands in an example of code: dots for what is no number and no str."""
    return repr(value) if isinstance(value, bool | int | float | str) else "..."
