"""What identifies a fit: the ratings and the parameters that decide its factors.

Two fits of one identity have the same factors after each iteration, and may go on from each other's checkpoints.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from daskals.blocks.fingerprint import fingerprint, fingerprint_of_ids
from daskals.blocks.ratings import InBlock, SideName
from daskals.engine.loop import ResumePoint
from daskals.engine.sides import Ratings
from daskals.engine.warm_start import fingerprint_of_point
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Ids

#: Parameters that decide the factors of an iteration. (maxIter does not: it says how many there are. Nor do names of
#: columns: what is in them, weights included, is in the fingerprint of the data.)
IDENTITY_PARAMS = (
    *("rank", "regParam", "implicitPrefs", "alpha", "nonnegative", "seed", "numUserBlocks", "numItemBlocks"),
    *("precision", "sparkRandom", "solver", "cgSteps"),
)
#: The same, of parameters that later versions brought: absent where they have their default, which is given, so that
#: a fit goes on from the checkpoints of versions without them.
LATER_PARAMS: dict[str, Any] = {
    "biases": False,
    "regExponent": 1.0,
    "userRegParam": None,
    "itemRegParam": None,
    "regCount": "observed",
    "unobservedWeight": None,
    "userCountExponent": 0.0,
    "itemCountExponent": 0.0,
    "startScale": 1.0,
    "subspaceSize": 64,
}
#: Those of them that have no effect beside some values of others.
DEPENDENT_PARAMS = ("alpha", "precision", "cgSteps", "subspaceSize")
#: What an identity calls the factors that a fit was started from, where it was started from any.
WARM = "fingerprint of initialModel"


def folder_name(identity: dict[str, Any]) -> str:
    """The name of the folder of a fit: a hash of its identity."""
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=6)
    return f"fit-{digest.hexdigest()}"


def differences(theirs: dict[str, Any], mine: dict[str, Any]) -> str:
    """A line for each difference between the identity in a checkpoint and this fit's.

    A parameter that has no effect in one of the two fits is not told: another one, which differs, decides that.
    """
    names = [*mine, *(name for name in (*LATER_PARAMS, WARM) if name in theirs and name not in mine)]
    return "\n".join(
        f"  {name}: {_told(theirs, name)!r} in the checkpoint, {_told(mine, name)!r} now"
        for name in names
        if _told(theirs, name) != _told(mine, name) and _has_effect_in_both(theirs, mine, name)
    )


def _has_effect_in_both(theirs: dict[str, Any], mine: dict[str, Any], name: str) -> bool:
    """Whether a parameter of this fit, or one of `LATER_PARAMS`, has an effect in the fit of the checkpoint as well."""
    if name in DEPENDENT_PARAMS and name in LATER_PARAMS:  # which may be absent for either reason
        return bool(theirs.get("solver") == mine["solver"])
    return name in theirs or name not in DEPENDENT_PARAMS


def _told(identity: dict[str, Any], name: str) -> Any:
    return identity.get(name, LATER_PARAMS.get(name))


def identity_of(
    scheduler: Scheduler, ratings: Ratings, values: dict[str, Any], start: ResumePoint | None
) -> dict[str, Any]:
    """What identifies a fit: its decisive parameters and its data, whatever the blocks, the order or the cluster.

    So do the rows that it starts from, ``start``, where they are not those that follow from the parameters.
    """
    token = new_token()
    prints = scheduler.fetch(
        *(
            task(_print_of_block, block, ratings.held.name, name=f"als-fingerprint-{token}-{number}")
            for number, block in enumerate(ratings.held.in_blocks)
        ),
        task(_print_of_ids, ratings.users.ids, "users", name=f"als-fingerprint-{token}-users"),
        task(_print_of_ids, ratings.items.ids, "items", name=f"als-fingerprint-{token}-items"),
    )
    return {
        "ratings": ratings.n_ratings,
        "users": ratings.users.n_rows,
        "items": ratings.items.n_rows,
        "fingerprint of the data": f"{sum(prints) % 2**64:016x}",
        **_decisive(values),
        **({} if start is None else {WARM: fingerprint_of_point(scheduler, ratings, start)}),
    }


def _decisive(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters that decide factors: words in lower case, and without those that have no effect beside others."""
    told = {name: value.lower() if isinstance(value, str) else value for name, value in values.items()}
    decisive = {name: told[name] for name in IDENTITY_PARAMS}
    decisive.update({name: told[name] for name, default in LATER_PARAMS.items() if told.get(name) != default})
    if decisive["nonnegative"]:  # which is solved in float64 in any case
        del decisive["precision"]
    if not decisive["implicitPrefs"]:
        del decisive["alpha"]
    if decisive["solver"] not in ("cg", "auto"):
        del decisive["cgSteps"]
    if decisive["solver"] not in ("subspace", "auto"):
        decisive.pop("subspaceSize", None)
    return decisive


def _print_of_block(block: InBlock, side: SideName) -> int:
    return fingerprint(block, side)


def _print_of_ids(ids: Ids, side: SideName) -> int:
    return fingerprint_of_ids(ids, side)
