"""Recommendations beside held-out and training pairs: plain loops as the oracle, real figures, and what is refused."""

import math
import warnings
from itertools import chain, pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskals import ALS
from daskals.evaluation import RankingEvaluator, rankingReport
from daskals.evaluation import ranking_evaluator as module
from daskals.evaluation.beyond_accuracy import CATALOGUE_METRICS, catalogue_metric, item_table, merge_tables
from daskals.evaluation.ranking import Lists
from daskals.evaluation.ranking_evaluator import METRICS
from daskals.io.foreign import give_back

NESTED = pd.ArrowDtype(pa.list_(pa.struct([("film", pa.int64()), ("rating", pa.float32())])))
PAIRS = ["who", "film"]
OF_LISTS = [name for name in METRICS if name not in CATALOGUE_METRICS]


def pairs(rows, dtype="int64"):
    return pd.DataFrame(rows, columns=PAIRS, dtype=dtype)


def nested(lists):
    cells = [[{"film": item, "rating": 1.0} for item in row] for row in lists.values()]
    users = pd.Series(list(lists), dtype="int32")
    return pd.DataFrame({"who": users, "recommendations": pd.Series(cells, dtype=NESTED)})


def flat(lists):
    """In any order of rows: the rank counts."""
    rows = [(user, item, 0.5, rank) for user, row in lists.items() for rank, item in enumerate(row, 1)]
    frame = pd.DataFrame(rows, columns=[*PAIRS, "rating", "rank"]).astype(
        {"who": "int64", "film": "int64", "rank": "int32"}
    )
    return frame.sample(frac=1, random_state=0, ignore_index=True)


def cut(frame, partitions):
    edges = np.linspace(0, len(frame), partitions + 1).astype(int)
    parts = [frame.iloc[start:stop] for start, stop in pairwise(edges)]
    return dd.from_map(lambda number: parts[number], range(partitions), meta=frame.iloc[:0])


def slow_metric(name, lists, held, train, k):
    """By loops over users, from the definitions."""
    had = {user: {item for other, item in train if other == user} for user, _ in [*held, *train]}
    shown = {user: [item for item in row if item not in had.get(user, ())] for user, row in lists.items()}
    wanted = {}
    for user, item in held:
        if item not in had[user]:
            wanted.setdefault(user, set()).add(item)
    if name in CATALOGUE_METRICS:
        tops = [shown.get(user, [])[:k] for user in wanted]
        catalogue = {item for _, item in train}
        if name == "catalogueCoverage":
            return len({item for top in tops for item in top} & catalogue) / len(catalogue)
        users = {user for user, _ in train}
        share = {item: sum(item in had[user] for user in users) / len(users) for item in range(-1, 30)}
        means = [np.mean([-math.log2(share[i] or 1 / len(users)) for i in top]) for top in tops if top]
        return np.mean(means) if means else math.nan
    return np.mean([slow_score(name, shown.get(user, []), relevant, k) for user, relevant in wanted.items()])


def slow_score(name, row, relevant, k):
    if name == "meanAveragePrecision":
        k = max(len(row), len(relevant))
    hits = [item in relevant for item in row[:k]]
    found = [place for place, hit in enumerate(hits, 1) if hit]
    if name == "hitRateAtK":
        return float(bool(found))
    if name == "meanReciprocalRankAtK":
        return 1 / found[0] if found else 0.0
    if name == "recallAtK":
        return len(found) / len(relevant)
    if name == "precisionAtK":
        return len(found) / k
    if name == "ndcgAtK":
        best = sum(1 / math.log(place + 1) for place in range(1, min(len(relevant), k) + 1))
        return sum(1 / math.log(place + 1) for place in found) / best
    return sum((number / place) for number, place in enumerate(found, 1)) / min(len(relevant), k)


USERS, ITEMS = st.integers(-3, 6), st.integers(0, 9)
LISTS = st.dictionaries(USERS, st.lists(ITEMS, unique=True, max_size=8))
ROWS = st.lists(st.tuples(USERS, ITEMS), max_size=25)


#: A cluster takes long, and does nothing that threads do not.
on_threads_first = pytest.mark.parametrize(
    "scheduler", ["threads", pytest.param("distributed", marks=pytest.mark.slow)], indirect=True
)


def check(name, lists, held, train, k, partitions=(0, 0, 0)):
    """That nested and flat lists have the metric of the plain loops, and that there is an error where none can be."""
    evaluator = RankingEvaluator(metricName=name, k=k)
    for make in (nested, flat):
        frames = [make(lists), pairs(held), pairs(train)]
        frames = [cut(frame, n) if n else frame for frame, n in zip(frames, partitions, strict=True)]
        if not held or set(held) <= set(train):
            problem = "heldOut has no rows" if not held else "No row of heldOut counts"
        elif name in CATALOGUE_METRICS and not train:
            problem = "exclude has no rows"
        else:
            found = evaluator.evaluate(frames[0], heldOut=frames[1], exclude=frames[2])
            assert found == pytest.approx(slow_metric(name, lists, held, train, k), rel=1e-12, nan_ok=True)
            continue
        with pytest.raises(ValueError, match=problem):
            evaluator.evaluate(frames[0], heldOut=frames[1], exclude=frames[2])


@pytest.mark.parametrize("name", METRICS)
@given(lists=LISTS, held=ROWS, train=ROWS, k=st.integers(1, 9))
def test_any_lists_beside_any_pairs(name, lists, held, train, k):
    """Ragged, empty and absent lists, pairs twice, pairs in both frames."""
    check(name, lists, held, train, k)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("partitions", [(3, 0, 2), (0, 3, 0)])
def test_lists_and_pairs_in_frames_of_both_kinds(name, partitions):
    rng = np.random.default_rng(2)
    lists = {user: rng.permutation(10)[: rng.integers(0, 8)].tolist() for user in range(-6, 12)}
    held, train = ([(int(u) - 8, int(i)) for u, i in rng.integers(0, [20, 10], (60, 2))] for _ in range(2))
    with dask.config.set(scheduler="synchronous"):
        check(name, lists, held, train, 3, partitions)


@pytest.mark.parametrize("name", OF_LISTS)
def test_a_metric_of_lists_is_the_same_by_labels_and_by_pairs(name):
    lists = {1: [4, 2, 9], 2: [], 3: [7, 1]}
    labels = {1: [2, 5], 2: [1], 3: [1]}
    held = pairs([(user, item) for user, row in labels.items() for item in row])
    frame = pd.DataFrame({"prediction": list(lists.values()), "label": list(labels.values())})
    evaluator = RankingEvaluator(metricName=name, k=2)
    assert evaluator.evaluate(nested(lists), heldOut=held, exclude=held.iloc[:0]) == evaluator.evaluate(frame)


def test_ndcg_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    scores, truth = rng.random((40, 30)), rng.random((40, 30)) < 0.2
    truth[truth.sum(axis=1) == 0, 0] = True
    order = np.argsort(-scores, axis=1)
    held = pairs(np.argwhere(truth))
    for k in (1, 5, 30):
        found = RankingEvaluator(metricName="ndcgAtK", k=k).evaluate(
            nested(dict(enumerate(order.tolist()))), heldOut=held, exclude=held.iloc[:0]
        )
        assert found == pytest.approx(metrics.ndcg_score(truth, scores, k=k), rel=1e-6)


@pytest.mark.parametrize(("k", "of_users"), [(1, [1.5849625, 1.5849625, 0.0]), (3, [1.5849625, 1.5849625, 0.79248125])])
def test_novelty_is_the_mean_inverse_user_frequency_of_rectools(k, of_users):
    """The values in the documentation of its MeanInvUserFreq. Item 3, which nobody had, counts as had by one."""
    recommended = flat({1: [3], 2: [2, 3], 3: [1, 2]})
    train = pairs([(1, 1), (1, 2), (2, 1), (3, 1)])
    # RecTools does not take training items out, so the lists go to strangers here
    strangers = recommended.assign(who=recommended["who"] + 10)
    found = RankingEvaluator(metricName="novelty", k=k).evaluate(strangers, exclude=train)
    assert found == pytest.approx(np.mean(of_users), rel=1e-7)


@given(lists=LISTS, train=ROWS, bounds=st.lists(USERS, max_size=4))
def test_tables_of_parts_are_the_table_of_all(lists, train, bounds):
    """However users are put into parts."""

    def table(users):
        rows = [lists.get(user, []) for user in users]
        had = [sorted({item for other, item in train if other == user}) for user in users]
        return item_table(*(Lists(np.array([*map(len, r)], int), np.array([*chain(*r)], int)) for r in (rows, had)))

    everybody = range(-3, 7)
    edges = [-3, *sorted(bounds), 7]
    merged, whole = merge_tables(*(table(range(a, b)) for a, b in pairwise(edges))), table(everybody)
    assert (merged.users, merged.lists) == (whole.users, whole.lists)
    of_merged, of_whole = (
        {item: (o, pytest.approx(s)) for item, o, s in zip(t.items, t.owners, t.shown, strict=True)}
        for t in (merged, whole)
    )
    assert of_merged == of_whole
    if train:
        for name in CATALOGUE_METRICS:
            assert catalogue_metric(name, merged) == pytest.approx(catalogue_metric(name, whole), nan_ok=True)


def test_all_users_count_for_the_catalogue_without_held_out_pairs():
    train = pairs([(1, 5), (2, 6), (2, 7), (3, 5)])
    lists = {1: [6, 5], 2: [5, 8], 4: []}
    evaluator = RankingEvaluator(metricName="catalogueCoverage", k=1)
    for left in (nested(lists), flat(lists), cut(nested(lists), 2)):
        assert evaluator.evaluate(left, exclude=train) == pytest.approx(2 / 3)  # 6 and 5, of 5, 6 and 7
        novelty = evaluator.evaluate(left, {evaluator.metricName: "novelty"}, exclude=cut(train, 2))
        assert novelty == pytest.approx((-math.log2(1 / 3) - math.log2(2 / 3)) / 2)


# ---- names ---------------------------------------------------------------------------------------------------


@on_threads_first
def test_the_names_are_those_of_the_model(scheduler):
    """String ids, nested and flat, users and items; from both kinds of frames."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"film": rng.integers(0, 25, 400), "who": rng.integers(0, 30, 400)}).drop_duplicates()
    rows = rows.assign(who="u" + rows["who"].astype(str), film="f" + rows["film"].astype(str), stars=1.0)
    train, test = rows.iloc[::2], rows.iloc[1::2]
    als = ALS(rank=3, maxIter=2, userCol="who", itemCol="film", ratingCol="stars", implicitPrefs=True)
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=4)
    model = als.fit(train)
    found = set()
    for fitted in (model, als.fit(cut(train, 2))):
        for is_flat in (False, True):
            recommended = fitted.recommendForAllUsers(30, flat=is_flat)
            found.add(round(evaluator.evaluate(recommended, heldOut=test, exclude=train), 9))
    without = model.recommendForAllUsers(4, exclude=train)
    found.add(round(evaluator.evaluate(without, heldOut=cut(test, 2), exclude=train), 9))
    assert len(found) == 1
    assert found.pop() > 0
    to_items = [model.recommendForAllItems(4, exclude=train, flat=is_flat) for is_flat in (False, True)]
    of_items = [evaluator.evaluate(to_items[0], heldOut=test, exclude=train, userCol="film", itemCol="who")]
    of_items += [evaluator.evaluate(each, heldOut=test, exclude=train) for each in to_items]
    assert of_items == pytest.approx([of_items[0]] * 3)


def test_explicit_names_win_and_are_needed_where_there_are_several():
    lists, train = {1: [4, 5], 2: [6]}, pairs([(1, 9)])
    held = pairs([(1, 5), (2, 6)])
    evaluator = RankingEvaluator(metricName="recallAtK", k=1)
    told = nested(lists).assign(name="x")
    with pytest.raises(ValueError, match="columns 'who', 'name' beside 'recommendations': pass userCol="):
        evaluator.evaluate(told, heldOut=held, exclude=train)
    assert evaluator.evaluate(told, heldOut=held, exclude=train, userCol="who") == 0.5
    titled = flat(lists).assign(title="x")
    with pytest.raises(ValueError, match=r"pass userCol= and itemCol=, which say which two"):
        evaluator.evaluate(titled, heldOut=held, exclude=train)
    assert evaluator.evaluate(titled, heldOut=held, exclude=train, userCol="who", itemCol="film") == 0.5
    swapped = pd.ArrowDtype(pa.list_(pa.struct([("rating", pa.float32()), ("film", pa.int64())])))
    cells = nested(lists)["recommendations"].map(lambda row: [{"rating": 1.0, "film": each["film"]} for each in row])
    odd = pd.DataFrame({"who": [1, 2], "recommendations": pd.Series(cells.tolist(), dtype=swapped)})
    assert evaluator.evaluate(odd, heldOut=held, exclude=train) == 0.5


@pytest.mark.parametrize("metric", ["hitRateAtK", "catalogueCoverage", "novelty"])
@pytest.mark.parametrize("others", ["int64", "Int64", "uint64"])
def test_large_ids_are_the_same_whatever_their_integers(metric, others):
    """Beyond 2^53 floats would round them, and NumPy makes floats of int64 beside uint64."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.choice(30, 8, replace=False) for _ in range(20)])
    small = pd.DataFrame({"user": np.repeat(np.arange(20), 8), "item": items, "rating": 1.0})
    large = small.assign(item=(items + 2**60).astype("uint64"))
    found = []
    for frame, dtype in ((small, "int64"), (large, others)):
        train, test = frame[frame.index % 4 != 0], frame[frame.index % 4 == 0]
        lists = ALS(rank=3, maxIter=2, implicitPrefs=True).fit(train).recommendForAllUsers(5, exclude=train)
        ranking = RankingEvaluator(metricName=metric, k=5)
        found.append(
            ranking.evaluate(lists, heldOut=test.astype({"item": dtype}), exclude=train.astype({"item": dtype}))
        )
    assert found[0] > 0
    assert found[1] == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("kind", ["categories of integers", "dates"])
def test_recommendations_by_ids_of_every_kind_are_evaluated(kind):
    rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    plain = pd.DataFrame(rows, columns=["user", "item", "rating"])
    convert = pd.to_datetime if kind == "dates" else lambda ids: ids.astype("category")
    train, test = plain, pd.DataFrame({"user": [0, 2], "item": [2, 0]})
    found = []
    for each in (lambda ids: ids, convert):
        a, b = (frame.assign(user=each(frame["user"]), item=each(frame["item"])) for frame in (train, test))
        model = ALS(rank=2, seed=0).fit(a)
        ndcg = RankingEvaluator(metricName="ndcgAtK", k=2)
        for flat_form in (True, False):
            lists = model.recommendForAllUsers(2, exclude=a, flat=flat_form)
            found.append(ndcg.evaluate(lists, heldOut=b, exclude=a))
        found.append(rankingReport(model, a, b, k=2).loc["model", "ndcgAtK"])
    assert found == [1.0] * 6


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(library):
    lists, held, train = {1: [9, 4, 5], 2: [6], 3: []}, pairs([(1, 5), (2, 6), (3, 6)]), pairs([(1, 9), (2, 4)])
    held = held.assign(rating=[5.0, 5.0, 1.0])
    pytest.importorskip(library)
    evaluator = RankingEvaluator(metricName="meanReciprocalRankAtK", relevantFrom=2.0)
    for make in (nested, flat):
        frames = [give_back(frame, library) for frame in (make(lists), held, train)]
        assert evaluator.evaluate(frames[0], heldOut=frames[1], exclude=frames[2]) == 0.75
        assert evaluator.evaluate(frames[0], heldOut=cut(held, 2), exclude=frames[2]) == 0.75


# ---- refusals ------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named():
    lists, held = {1: [4, 5]}, pairs([(1, 5)])
    for name in CATALOGUE_METRICS:
        evaluator = RankingEvaluator(metricName=name)
        with pytest.raises(ValueError, match=f"{name} is measured by the training pairs: pass exclude="):
            evaluator.evaluate(nested(lists), heldOut=held)
        with pytest.raises(ValueError, match=f"{name} is measured by the training pairs: pass exclude="):
            evaluator.evaluate(pd.DataFrame({"prediction": [[1]], "label": [[1]]}))
    evaluator = RankingEvaluator()
    with pytest.raises(ValueError, match="meanAveragePrecision of recommendations needs heldOut="):
        evaluator.evaluate(nested(lists), exclude=held)
    with pytest.raises(ValueError, match=r"exclude has no columns 'film' \(itemCol\)"):
        evaluator.evaluate(nested(lists), heldOut=held, exclude=held[["who"]])
    with pytest.raises(TypeError, match="exclude must be a pandas or a dask DataFrame"):
        evaluator.evaluate(nested(lists), heldOut=held, exclude=[(1, 5)])
    with pytest.raises(TypeError, match=r"userCol 'who' is int32 in dataset and (str|object) in exclude"):
        evaluator.evaluate(nested(lists), heldOut=held, exclude=held.astype({"who": "str"}))
    with pytest.raises(TypeError, match="items are numbers and excluded items are strings"):
        evaluator.evaluate(nested(lists), heldOut=held, exclude=held.astype({"film": "str"}))
    with pytest.raises(ValueError, match="No row of heldOut counts: all of its 1 pairs are in exclude"):
        evaluator.evaluate(nested(lists), heldOut=held, exclude=held)
    for column, dtype in {"rank": "Int64", "film": "Int64", "who": "Int64"}.items():
        holed = flat(lists).astype({column: dtype})
        holed.loc[0, column] = pd.NA
        with pytest.raises(ValueError, match=f"1 missing values in .*'{column}' of dataset"):
            evaluator.evaluate(holed, heldOut=held, exclude=held.iloc[:0])
    with pytest.raises(TypeError, match="column 'rank' must be numeric"):
        evaluator.evaluate(flat(lists).astype({"rank": "str"}), heldOut=held, exclude=held)


def test_rows_of_exclude_with_a_null_are_passed_over():
    """As by ``recommendForAllUsers``."""
    train = pairs([(1, 4), (None, 5), (1, None)], dtype="Int64")
    held = pairs([(1, 5)])
    for exclude in (train, cut(train, 2)):
        found = RankingEvaluator(metricName="meanReciprocalRankAtK").evaluate(
            nested({1: [4, 5]}), heldOut=held, exclude=exclude
        )
        assert found == 1


def test_a_forgotten_exclude_is_warned_of_once():
    recommended, held = nested({1: [4, 5]}), pairs([(1, 5)])
    evaluator = RankingEvaluator()
    module.warn_of_rated_items.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluator.evaluate(recommended, heldOut=held, exclude=held.iloc[:0])
        with pytest.raises(UserWarning, match="heldOut= without exclude="):
            evaluator.evaluate(recommended, heldOut=held)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            evaluator.evaluate(recommended, heldOut=held)
    assert [(each.category, each.filename) for each in caught] == [(UserWarning, __file__)]
    assert "exclude=train" in str(caught[0].message)


# ---- relevantFrom --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "Int64", "double[pyarrow]"])
def test_low_and_missing_ratings_do_not_count(dtype):
    held = pairs([(1, 4), (1, 5), (2, 6), (3, 7)]).assign(stars=pd.array([1, 4, None, 5], dtype=dtype))
    recommended, train = nested({1: [4, 5], 2: [6], 3: [8]}), pairs([(1, 9)])
    evaluator = RankingEvaluator(metricName="meanReciprocalRankAtK", relevantFrom=4)
    for each in (held, cut(held, 2)):
        assert evaluator.evaluate(recommended, heldOut=each, exclude=train, ratingCol="stars") == 0.25  # 1/2 and 0
        with pytest.raises(ValueError, match=r"heldOut has no columns 'rating' \(ratingCol\)"):
            evaluator.evaluate(recommended, heldOut=each, exclude=train)
        with pytest.raises(ValueError, match=r"heldOut, of stars 6.0 and more, has no rows"):
            evaluator.evaluate(recommended, {evaluator.relevantFrom: 6}, heldOut=each, exclude=train, ratingCol="stars")
    with pytest.raises(TypeError, match="ratingCol 'stars' of heldOut must be numeric"):
        evaluator.evaluate(recommended, heldOut=held.assign(stars="5"), exclude=train, ratingCol="stars")
    with pytest.raises(ValueError, match=r"relevantFrom=4.0 is about held-out ratings: pass heldOut="):
        evaluator.evaluate(pd.DataFrame({"prediction": [[1]], "label": [[1]]}))
    with pytest.raises(ValueError, match="relevantFrom=nan is not allowed: it must be a finite number"):
        RankingEvaluator(relevantFrom=math.nan).evaluate(recommended, heldOut=held)


# ---- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_evaluators_with_metrics_of_our_own_are_saved_with_a_warning(name, tmp_path):
    evaluator = RankingEvaluator(metricName=name, k=3, relevantFrom=3.5)
    if name in module.SPARK_METRICS:
        evaluator.save(tmp_path / "evaluator")
    else:
        with pytest.warns(UserWarning, match=f"Spark cannot load {evaluator.uid}: it has no metric '{name}'"):
            evaluator.save(tmp_path / "evaluator")
    loaded = RankingEvaluator.load(tmp_path / "evaluator")
    assert loaded.extractParamMap() == evaluator.extractParamMap()
    assert loaded.isLargerBetter()


# ---- the report ----------------------------------------------------------------------------------------------


def slow_report(model, train, test, k):
    """The model's and the most popular items' rows, from frames of plain lists."""
    held, had = test[["user", "item"]].values.tolist(), train[["user", "item"]].drop_duplicates()
    by_model = model.recommendForAllUsers(k, exclude=train, flat=True)
    counts = had["item"].value_counts()
    popular = sorted(counts.index, key=lambda item: (-counts[item], item))
    lists = {
        "model": by_model.groupby("user")["item"].agg(list).to_dict(),
        "most popular": {user: popular for user in test["user"].unique().tolist()},
    }
    had = had.values.tolist()
    return {row: {name: slow_metric(name, some, held, had, k) for name in reported()} for row, some in lists.items()}


def reported():
    return [name for name in METRICS if name != "meanAveragePrecision"]


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(6)
    users, items = rng.integers(-9, 20, 500), (rng.random(500) ** 2 * 25).astype(int)
    rows = pd.DataFrame({"user": users, "item": items, "rating": 1.0})
    return rows.iloc[:350], rows.iloc[350:]


@on_threads_first
def test_a_report_has_the_figures_of_plain_loops(small, scheduler):
    train, test = small
    als = ALS(rank=3, maxIter=3, implicitPrefs=True, alpha=3.0, numUserBlocks=2)
    model = als.fit(train)
    expected = slow_report(model, train, test, 4)
    reports = [
        rankingReport(model, train, test, k=4),
        rankingReport(als.fit(cut(train, 3)), cut(train, 3), cut(test, 2), k=4),
        rankingReport(model, cut(train, 2), test, 4),
        rankingReport(model, pa.Table.from_pandas(train), test, 4),
    ]
    for report in reports:
        assert report.index.tolist() == ["model", "most popular", "random"]
        assert sorted(report.columns) == sorted(reported())
        for row, values in expected.items():
            assert report.loc[row].to_dict() == pytest.approx(values, rel=1e-9)
        pd.testing.assert_series_equal(report.loc["random"], reports[0].loc["random"])


def test_random_items_are_new_and_fair(small):
    """Precision near the share of relevant ones among the unseen, which chance gives."""
    train, test = small
    report = rankingReport(ALS(rank=1, maxIter=1, implicitPrefs=True).fit(train), train, test, k=3)
    had = {user: set(rows) for user, rows in train.groupby("user")["item"]}
    catalogue = set(train["item"])
    new = {user: (set(rows) & catalogue) - had.get(user, set()) for user, rows in test.groupby("user")["item"]}
    chances = [len(row) / len(catalogue - had.get(user, set())) for user, row in new.items() if row]
    assert report.loc["random", "precisionAtK"] == pytest.approx(np.mean(chances), abs=0.12)
    assert report.loc["random", "catalogueCoverage"] > 0.8


def test_more_recommendations_than_the_catalogue_has(small):
    train, test = small
    report = rankingReport(ALS(rank=1, maxIter=1, implicitPrefs=True).fit(train), train, test, k=99)
    inside = test[test["item"].isin(train["item"])]
    assert report["hitRateAtK"].nunique() == 1  # everybody gets all that is new
    assert report["recallAtK"].iloc[1] == pytest.approx(report["recallAtK"].iloc[2])
    assert len(inside)


def test_a_report_refuses_what_it_cannot_use(small):
    train, test = small
    model = ALS(rank=1, maxIter=1, implicitPrefs=True).fit(train)
    with pytest.raises(ValueError, match=r"test has no columns 'item' \(itemCol\)"):
        rankingReport(model, train, test[["user"]])
    with pytest.raises(TypeError, match="train must be a pandas or a dask DataFrame"):
        rankingReport(model, None, test)
    with pytest.raises(ValueError, match="k=0 is not allowed: it must be an integer >= 1"):
        rankingReport(model, train, test, 0)
    with pytest.raises(TypeError, match="takes a model first, such as ALS"):
        rankingReport("model", train, test)
    with pytest.raises(ValueError, match="test has no rows"):
        rankingReport(model, train, test.iloc[:0])
    with pytest.raises(ValueError, match="No row of test counts"):
        rankingReport(model, train, train)


# ---- real data -----------------------------------------------------------------------------------------------


def test_rated_items_in_the_lists_turn_the_comparison_around(ml100k):
    """The figures of issue 11, on ml-100k: with rated items the better model loses, even to popularity (.133)."""
    train, test = ml100k
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=10)
    module.warn_of_rated_items.cache_clear()
    with_rated, without = {}, {}
    for rank in (8, 32):
        model = ALS(rank=rank, regParam=0.1, alpha=1.0, implicitPrefs=True).fit(train)
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            with_rated[rank] = evaluator.evaluate(model.recommendForAllUsers(10), heldOut=test)
        without[rank] = evaluator.evaluate(model.recommendForAllUsers(10, exclude=train), heldOut=test, exclude=train)
    report = rankingReport(model, train, test)
    assert without[32] > without[8]
    assert with_rated[32] < with_rated[8]
    assert with_rated[32] == pytest.approx(0.089, abs=0.003)
    assert without[32] == pytest.approx(0.2945, abs=0.003)
    assert report.loc["model", "ndcgAtK"] == pytest.approx(without[32], rel=1e-12)
    assert report.loc["most popular", "ndcgAtK"] == pytest.approx(0.133, abs=0.001)
    assert report.loc["random", "ndcgAtK"] < 0.015


def test_explicit_models_lead_with_items_of_little_support(ml100k):
    """Issue 11: NDCG .018, beside popularity's .133, at an RMSE of which nothing of this can be seen."""
    model = ALS(rank=10, maxIter=15, regParam=0.1, seed=1).fit(ml100k.base)
    report = rankingReport(model, *ml100k)
    supported = model.recommendForAllUsers(10, exclude=ml100k.base, minSupport=100)
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=10)
    ndcg = evaluator.evaluate(supported, heldOut=ml100k.test, exclude=ml100k.base)
    assert 2 * report.loc["model", "ndcgAtK"] < ndcg < report.loc["most popular", "ndcgAtK"]
    assert report.loc["model", "ndcgAtK"] == pytest.approx(0.018, abs=0.003)
    assert report.loc["model", "ndcgAtK"] < report.loc["most popular", "ndcgAtK"] / 5
