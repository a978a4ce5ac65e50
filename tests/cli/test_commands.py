"""What the commands answer, beside what the library answers when it is called."""

import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from support.small_ratings import SMALL

from daskals import ALS, ALSModel
from daskals.datasets import load_movielens_titles, randomSplit
from daskals.evaluation import RegressionEvaluator, rankingReport
from daskals.serving import LocalModel

ALS_SMALL = {"rank": 2, "maxIter": 3, "seed": 1, "userCol": "userId", "itemCol": "movieId", "ratingCol": "rating"}


@pytest.fixture
def model(frame):
    """What the library fits to the same ratings."""
    return ALS(**ALS_SMALL).fit(frame)


@pytest.fixture
def fitted(invoke, ratings_csv):
    """A model that the command has saved, ``ratings.model``."""
    said = invoke("fit", ratings_csv, *SMALL)
    assert said.code == 0, said.err
    return "ratings.model"


@pytest.fixture
def titles(here):
    """``movies.csv``."""
    (here / "movies.csv").write_text("movieId,title\n" + "".join(f'{n},"Film, part {n}"\n' for n in range(1, 6)))
    return "movies.csv"


def assert_same_factors(path, model):
    """The directory at a path holds the factors of a model."""
    loaded = ALSModel.load(path, frames="pandas")
    for side in ("userFactors", "itemFactors"):
        mine, theirs = getattr(loaded, side), getattr(model, side)
        assert mine["id"].tolist() == theirs["id"].tolist()
        np.testing.assert_array_equal(np.stack(mine["features"]), np.stack(theirs["features"]))


# ---- fit -------------------------------------------------------------------------------------------------


def test_fit_is_that_of_the_library(fitted, model):
    assert_same_factors(fitted, model)


def test_every_parameter_can_be_set(invoke, ratings_csv, frame):
    sets = ("--set", "regExponent=0", "--set", "solver=cg", "--set", "nonnegative=false", "--reg", "0.5")
    assert invoke("fit", ratings_csv, *SMALL, *sets, "--out", "a.model").code == 0
    assert_same_factors("a.model", ALS(**ALS_SMALL, regExponent=0.0, solver="cg", regParam=0.5).fit(frame))


def test_a_model_that_is_there_is_replaced_only_where_asked(invoke, fitted, here):
    said = invoke("fit", "ratings.csv", *SMALL)
    assert said.code == 1
    assert "ratings.model is there already: --overwrite replaces it" in said.err
    assert "Reading" not in said.err, "it is told before the file is read"
    assert invoke("fit", "ratings.csv", *SMALL, "--overwrite").code == 0
    (here / "precious").mkdir()
    (here / "precious" / "thesis.txt").write_text("x")
    assert "is no model, so it is not replaced" in invoke("fit", "ratings.csv", "--out", "precious", "--overwrite").err
    assert (here / "precious" / "thesis.txt").read_text() == "x"


def test_counts_are_taken_for_implicit_feedback_and_it_is_said(invoke, frame, here):
    frame.rename(columns={"rating": "plays"}).to_csv("plays.csv", index=False)
    said = invoke("fit", "plays.csv", *SMALL)
    assert "column plays looks like counts" in said.err
    names = {**ALS_SMALL, "ratingCol": "plays"}
    plays = frame.rename(columns={"rating": "plays"})
    assert_same_factors("plays.model", ALS(**names, implicitPrefs=True).fit(plays))
    assert invoke("fit", "plays.csv", *SMALL, "--explicit", "--overwrite").code == 0
    assert_same_factors("plays.model", ALS(**names).fit(plays))


def test_the_error_of_a_test_file(invoke, ratings_csv, frame, model):
    frame.iloc[::3].to_csv("test.csv", index=False)
    said = invoke("fit", ratings_csv, *SMALL, "--test", "test.csv", "--json")
    expected = RegressionEvaluator(labelCol="rating").evaluate(model.transform(frame.iloc[::3]))
    assert json.loads(said.out)["rmse"] == pytest.approx(expected, rel=1e-6)


# ---- recommend -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
def test_recommendations_of_all_users_in_each_form_of_file(invoke, fitted, model, ending):
    said = invoke("recommend", fitted, "-n", 3, "--include-seen", "--min-support", 1, "--out", f"recs.{ending}")
    assert said.code == 0, said.err
    read = {"tsv": lambda path: pd.read_csv(path, sep="\t"), "parquet": pd.read_parquet}
    read["jsonl"] = lambda path: pd.read_json(path, lines=True)
    found = read.get(ending, pd.read_csv)(f"recs.{ending}")
    expected = model.recommendForAllUsers(3, flat=True)
    assert found.columns.tolist() == ["userId", "rank", "movieId", "score"]
    for mine, theirs in (("userId", "userId"), ("movieId", "movieId"), ("rank", "rank")):
        assert found[mine].tolist() == expected[theirs].tolist()
    np.testing.assert_allclose(found["score"], expected["rating"], rtol=1e-5)


def test_one_user_gets_what_all_users_get(invoke, fitted, titles):
    invoke("recommend", fitted, "--out", "all.csv")
    everything = pd.read_csv("all.csv")
    said = invoke("recommend", fitted, "--user", 7, "--titles", titles, "--json")
    (answer,) = json.loads(said.out)
    mine = everything[everything["userId"] == 7]
    assert [each["movieId"] for each in answer["recommendations"]] == mine["movieId"].tolist()
    assert {each["title"] for each in answer["recommendations"]} == {"Film, part 4", "Film, part 5"}
    np.testing.assert_allclose([each["score"] for each in answer["recommendations"]], mine["score"], rtol=1e-5)


def test_seen_items_are_those_of_the_file_that_is_named(invoke, fitted, here):
    (here / "seen.csv").write_text("userId,movieId\n7,4\n")
    said = invoke("recommend", fitted, "--user", 7, "--ratings", "seen.csv", "--json")
    (answer,) = json.loads(said.out)
    assert sorted(each["movieId"] for each in answer["recommendations"]) == [1, 2, 3, 5]


def test_where_the_ratings_are_gone_it_is_said_what_to_do(invoke, fitted, ratings_csv, here, model):
    ratings_csv.rename(here / "elsewhere.csv")
    said = invoke("recommend", fitted, "--user", 7)
    assert said.code == 1
    assert "ratings.csv, which is not there any more. Give --ratings FILE" in said.err
    assert "--include-seen" in said.err
    assert invoke("recommend", fitted, "--user", 7, "--include-seen").code == 0
    model.save("other.model")  # the library does not write down which ratings there were
    said = invoke("recommend", "other.model", "--user", 7)
    assert "other.model does not say which ratings it was fitted to. Give --ratings FILE" in said.err


def test_a_stranger_is_told_who_is_known(invoke, fitted):
    said = invoke("recommend", fitted, "--user", 99)
    assert said.code == 1
    assert said.err.splitlines()[-1] == ("daskals: There is no user 99 in ratings.model; it has 7 users: 1, 2, 3, ...")
    assert "There is no user ann in ratings.model" in invoke("recommend", fitted, "--user", "ann").err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--titles", "nofile.csv"), "There is no nofile.csv"),
        (("--titles", "wrong.csv"), "wrong.csv: which columns hold ids and titles is not obvious"),
        (("--titles", "movies.csv", "--titles-columns", "movieId"), "expected two columns, ID,TITLE"),
        (("-u", 7, "-u", 99999999), "There is no user 99999999 in ratings.csv; it has 7 users: 1, 2, 3, ..."),
        (("-u", "ann"), "There is no user ann in ratings.csv"),
    ],
)
def test_what_is_wrong_beside_the_ratings_is_told_before_the_fit(invoke, ratings_csv, titles, here, options, told):
    (here / "wrong.csv").write_text("a,b\n1,2\n")
    said = invoke("recommend", "ratings.csv", *SMALL, *options)
    assert said.code in (1, 2)
    assert told in said.err
    assert "Fitting" not in said.err


def test_users_whose_ids_are_text_or_read_lazily_are_found_before_the_fit(invoke, ratings_csv, monkeypatch):
    assert invoke("recommend", "ratings.csv", *SMALL, "-u", 7, "--text-ids").code == 0
    monkeypatch.setattr("daskals.cli.reading.LARGE", 100)
    assert invoke("recommend", "ratings.csv", *SMALL, "-u", 7).code == 0
    said = invoke("recommend", "ratings.csv", *SMALL, "-u", 99)
    assert "There is no user 99 in ratings.csv; it has 7 users: 1, 2, 3, ..." in said.err
    assert "Fitting" not in said.err


def test_titles_that_are_of_other_items_are_told(invoke, fitted, titles, here):
    said = invoke("recommend", fitted, "-u", 7, "--titles", titles)
    assert "a title in" not in said.err, "each of them has one"
    (here / "some.csv").write_text("movieId,title\n4,Dune\n5,\n77,Alien\n")
    said = invoke("recommend", fitted, "-u", 7, "--titles", "some.csv")
    assert "1 of 2 items have a title in some.csv" in said.err
    (here / "other.csv").write_text("movieId,title\nx1,Dune\nx2,Alien\n")
    said = invoke("recommend", fitted, "--include-seen", "--min-support", 1, "--titles", "other.csv")
    assert said.code == 0
    assert re.fullmatch(
        r"None of the 5 items has a title in other\.csv: its ids look like 'x1', those of the ratings like '[1-5]'; "
        r"--titles-columns ID,TITLE names other columns",
        said.err.splitlines()[-1],
    )
    (here / "plain.dat").write_text("4::Dune::1\n5::Alien::2\n")
    said = invoke("recommend", fitted, "-u", 7, "--titles", "plain.dat")
    assert "Titles: 2 in plain.dat (ids = column 1, titles = column 2)" in said.err
    assert "None of the 5 items has a title in other.csv" in invoke("similar", fitted, 2, "--titles", "other.csv").err


def test_lists_made_from_stars_are_told_to_be_better_with_implicit(invoke, ratings_csv):
    hint = "Lists made from stars are often better with --implicit"
    said = invoke("recommend", "ratings.csv", *SMALL)
    assert hint in said.err
    program, *arguments = re.search("'(daskals evaluate [^']*)'", said.err)[1].split()
    assert program == "daskals"
    for more in ((), ("--implicit",)):
        assert invoke(*arguments, *SMALL, *more).out.startswith("first 10"), "lists, not errors"
    for chosen in (("--implicit",), ("--explicit",), ("--set", "implicitPrefs=false")):
        assert hint not in invoke("recommend", "ratings.csv", *SMALL, *chosen).err, "somebody has decided"


def test_options_of_a_fit_are_no_options_of_a_model(invoke, fitted, ratings_csv):
    more = ("--rank", 3, "--seed", 4, "--explicit", "--set", "solver=cg")
    said = invoke("recommend", fitted, "-u", 1, *more)
    assert said.code == 2
    assert "--rank, --seed, --explicit, --set are for a fit to ratings" in said.err
    said = invoke("evaluate", fitted, ratings_csv, "--no-biases")
    assert said.code == 2
    assert "ratings.model is a saved model, which nothing can change any more: --no-biases is for a fit" in said.err


def test_a_model_in_place_of_ratings_is_told_first(invoke, fitted):
    for name in ("fit", "tune"):
        said = invoke(name, fitted)
        assert said.code == 1
        assert "ratings.model is a saved model, and a file of ratings is wanted here" in said.err
        assert "daskals recommend ratings.model" in said.err


def test_rare_items_are_left_out_of_opinions_unless_asked(invoke, here, monkeypatch):
    """Item 9 has the one rating of user 1, the best there is."""
    rows = [(user, item, 3 + item % 2) for user in range(30) for item in range(8) if (user + item) % 3]
    table = pd.DataFrame([*rows, (1, 9, 5)], columns=["user", "item", "rating"])
    table.to_csv("r.csv", index=False)
    assert "Leaving out" not in invoke("recommend", "r.csv", "--out", "few.csv", *SMALL).err, "of nine items all stay"
    monkeypatch.setattr("daskals.cli.recommending.STAYING", 8)
    said = invoke("recommend", "r.csv", "--out", "usual.csv", *SMALL)
    assert "Leaving out 1 item with fewer than 10 ratings" in said.err
    assert 9 not in set(pd.read_csv("usual.csv")["item"])
    assert invoke("recommend", "r.csv", "--out", "all.csv", "--min-support", 1, *SMALL).code == 0
    assert 9 in set(pd.read_csv("all.csv")["item"])


def test_ids_that_are_text_stay_text(invoke, here):
    rows = [(f"u{user}", f"0{item}", (user * item) % 5 + 1) for user in range(6) for item in range(5) if user or item]
    pd.DataFrame(rows, columns=["user", "item", "rating"]).to_csv("r.csv", index=False)
    assert invoke("fit", "r.csv", *SMALL).code == 0
    (answer,) = json.loads(invoke("recommend", "r.model", "--user", "u0", "--json").out)
    assert [each["item"] for each in answer["recommendations"]] == ["00"]


def test_a_target_of_an_unknown_form_is_refused_before_any_work(invoke, ratings_csv):
    said = invoke("recommend", ratings_csv, "--out", "recs.xlsx")
    assert said.code == 2
    assert "the name must end in .csv, .tsv" in said.err
    assert "Reading" not in said.err


# ---- similar, predict ------------------------------------------------------------------------------------


def test_similar_items_by_id_and_by_title(invoke, fitted, model, titles):
    (answer,) = json.loads(invoke("similar", fitted, 2, "-n", 3, "--json").out)
    expected = model.similarItems([2], 3, flat=True)
    assert [each["neighbour"] for each in answer["neighbours"]] == expected["neighbour"].tolist()
    (by_title,) = json.loads(invoke("similar", fitted, "PART 2", "--titles", titles, "-n", 3, "--json").out)
    assert by_title["movieId"] == 2
    assert [each["neighbour"] for each in by_title["neighbours"]] == expected["neighbour"].tolist()
    said = invoke("similar", fitted, "film", "--titles", titles)
    assert "Several titles have 'film' in them: 1 Film, part 1; 2 Film, part 2" in said.err


def test_predictions_of_a_file_and_of_one_user(invoke, fitted, model, here):
    pairs = pd.DataFrame({"userId": [1, 7, 99], "movieId": [2, 5, 1]})
    pairs.to_csv("pairs.csv", index=False)
    assert invoke("predict", fitted, "pairs.csv", "--out", "p.csv").code == 0
    found = pd.read_csv("p.csv")
    expected = model.transform(pairs)
    np.testing.assert_allclose(found["prediction"], expected["prediction"], rtol=1e-5)
    assert np.isnan(found["prediction"].iloc[2]), "user 99 is not in the model"
    (one,) = json.loads(invoke("predict", fitted, "--user", 7, "--item", 5, "--json").out)
    assert one["prediction"] == pytest.approx(found["prediction"].iloc[1], rel=1e-5)
    assert invoke("predict", fitted).code == 2


def test_a_prediction_is_empty_for_what_the_model_does_not_know(invoke, fitted, model):
    said = invoke("predict", fitted, "--user", 1, "--item", 5, "--item", 999, "--json")
    assert said.code == 0
    known, unknown = json.loads(said.out)
    expected = model.transform(pd.DataFrame({"userId": [1], "movieId": [5]}))["prediction"].item()
    assert known["prediction"] == pytest.approx(expected, rel=1e-5)
    assert unknown == {"userId": 1, "movieId": 999, "prediction": None}
    assert "Not in ratings.model, so no prediction: item 999" in said.err
    said = invoke("predict", fitted, "--user", 99, "--item", 5)
    assert said.out.splitlines() == ["userId,movieId,prediction", "99,5,"]
    assert "so no prediction: user 99" in said.err
    said = invoke("predict", fitted, "--user", 1, "--item", "Dune")
    assert said.code == 1
    assert "'Dune' is none" in said.err


@pytest.mark.parametrize("largest", [1 << 28, 10])
def test_ids_of_another_kind_than_those_of_the_model_are_told_with_their_file(
    invoke, fitted, here, monkeypatch, largest
):
    monkeypatch.setattr("daskals.cli.reading.LARGE", largest)  # of ten bytes files are read lazily
    (here / "pairs.csv").write_text("userId,movieId\nann,4\nbob,5\n")
    said = invoke("predict", fitted, "pairs.csv")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        "daskals: pairs.csv: the column of users, userId, holds 'ann', but the ids of users in ratings.model are whole "
        "numbers; if they are in another column, name it with --user-col"
    )
    (here / "items.csv").write_text("userId,movieId\n1,Dune\n2,Alien\n")
    said = invoke("recommend", fitted, "--ratings", "items.csv")
    assert "items.csv: the column of items, movieId, holds 'Dune'" in said.err


# ---- evaluate, tune --------------------------------------------------------------------------------------


def test_errors_of_held_out_ratings(invoke, ratings_csv, frame):
    said = invoke("evaluate", ratings_csv, *SMALL, "--fraction", 0.25, "--split-seed", 3, "--json")
    train, test = randomSplit(frame, [0.75, 0.25], 3)
    predicted = ALS(**ALS_SMALL, coldStartStrategy="drop").fit(train).transform(test)
    report = json.loads(said.out)
    assert report["known"] == len(predicted)
    assert report["rmse"] == pytest.approx(RegressionEvaluator(labelCol="rating").evaluate(predicted), rel=1e-6)
    guess = float(np.sqrt(np.mean((predicted["rating"] - train["rating"].mean()) ** 2)))
    assert report["rmseOfMean"] == pytest.approx(guess, rel=1e-6)


def test_lists_of_a_model_of_counts(invoke, here):
    pairs = [(user, item) for user in range(30) for item in range(12) if user % 3 == item % 3]
    table = pd.DataFrame(pairs, columns=["user", "item"])
    is_test = table["user"] % 4 == table["item"] // 3
    table[~is_test].to_csv("train.csv", index=False)
    table[is_test].to_csv("test.csv", index=False)
    options = ("--rank", 3, "--reg", 0.01, "--seed", 1)
    assert invoke("fit", "train.csv", *options).code == 0
    report = json.loads(invoke("evaluate", "train.model", "test.csv", "-n", 1, "--json").out)
    model = ALS(rank=3, regParam=0.01, seed=1, implicitPrefs=True, ratingCol="").fit(table[~is_test])
    expected = rankingReport(model, table[~is_test], table[is_test], 1)
    for name in ("model", "most popular", "random"):
        assert report["metrics"][name] == pytest.approx(expected.loc[name].to_dict(), rel=1e-6)
    assert report["metrics"]["model"]["hitRateAtK"] == 1.0


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((0.2, 0.1, 0.3), "no better than random items"),
        ((0.2, 0.3, 0.1), "no better than the most popular items"),
        ((0.3, 0.1, 0.2), None),
    ],
)
def test_lists_are_compared_with_the_better_of_popular_and_random_items(invoke, ratings_csv, monkeypatch, scores, told):
    report = pd.DataFrame({"ndcgAtK": scores}, index=["model", "most popular", "random"])
    monkeypatch.setattr("daskals.cli.evaluating.rankingReport", lambda *_: report)
    said = invoke("evaluate", ratings_csv, *SMALL, "--ranking")
    assert said.code == 0, said.err
    assert (f"These lists are {told}" in said.err) if told else ("no better" not in said.err)


def test_the_best_of_a_grid_is_saved(invoke, here):
    pairs = [(user, item) for user in range(12) for item in range(10)]
    table = pd.DataFrame([(u, i, (u + 1) * (i + 1) / 12) for u, i in pairs], columns=["user", "item", "rating"])
    table.to_csv("r.csv", index=False)
    grid = ("--grid", "regParam=0.001,10", "--rank", 1, "--iterations", 5)
    report = json.loads(invoke("tune", "r.csv", *grid, "--json").out)
    assert report["best"] == {"regParam": 0.001}
    assert [each["regParam"] for each in report["tried"]] == [0.001, 10.0], "the best one first"
    assert report["tried"][0]["rmse"] < 0.1 < report["tried"][1]["rmse"]
    assert_same_factors("r.model", ALS(rank=1, maxIter=5, regParam=0.001).fit(table))


def test_a_grid_of_what_there_is_not(invoke, ratings_csv):
    for grid, told in {
        "rang=1,2": "there is no parameter 'rang' (did you mean rank?)",
        "rank=0,2": "rank=0 is not allowed",
        "rank=a": "must be a number",
    }.items():
        said = invoke("tune", ratings_csv, "--grid", grid)
        assert said.code == 2
        assert told in said.err
    said = invoke("tune", ratings_csv, "--metric", "ndgc")
    assert said.code == 2
    assert "the metrics are rmse, mse, mae, r2, " in said.err
    for wrong in (("--metric", "ndgc"), ("--grid", "rang=1,2")):
        said = invoke("tune", ratings_csv, *wrong, "--out", "no-such-folder/a.model")
        assert said.code == 2, "the options are looked at before the place"


# ---- info, convert, and what needs no model --------------------------------------------------------------


def test_info(invoke, fitted, model, here):
    facts = json.loads(invoke("info", fitted, "--json").out)
    assert (facts["users"], facts["items"], facts["rank"], facts["kind"]) == (7, 5, 2, "explicit ratings")
    assert facts["userIds"] == "whole numbers, 1 to 7"
    assert facts["columns"] == "userId, movieId, rating"
    assert facts["fittedTo"] == str(here / "ratings.csv")
    assert facts["trainingRMSE"] == pytest.approx(model.history["rmse"].iloc[-1], rel=1e-6)
    assert "rank:             2\n" in invoke("info", fitted).out


def test_what_is_no_model(invoke, here):
    (here / "folder").mkdir()
    (here / "a.csv").write_text("x")
    for path, told in {
        "nix": "There is no model nix",
        "folder": "folder is a folder without metadata, and no model",
        "a.csv": "a.csv is a file, and no model",
    }.items():
        said = invoke("info", path)
        assert said.code == 1
        assert told in said.err


def test_a_model_to_tables_and_back(invoke, fitted, model):
    assert invoke("convert", fitted, "tables", "--to", "parquet").code == 0
    users = pd.read_parquet("tables/users.parquet")
    assert users["id"].tolist() == list(range(1, 8))
    assert users["ratings"].tolist() == [5, 5, 5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.stack(users["features"]), np.stack(model.userFactors["features"]))
    assert invoke("convert", "tables", "again.model").code == 0
    assert_same_factors("again.model", model)
    loaded = ALSModel.load("again.model", frames="pandas")
    assert loaded.getUserCol() == "userId"
    same = ["iteration", "objective", "rmse"]
    assert_frame_equal(loaded.history[same], model.history[same])
    assert loaded.parent.getRank() == 2
    assert LocalModel.load("again.model").itemCounts.tolist() == [7, 7, 7, 6, 6]


def test_tables_of_another_tool_become_a_model(invoke, here):
    for name, ids in (("users", ["ann", "bob"]), ("items", [3, 1])):
        features = [[1.0, 2.0], [3.0, 4.0]]
        (here / "tables").mkdir(exist_ok=True)
        pd.DataFrame({"id": ids, "features": features}).to_parquet(f"tables/{name}.parquet")
    said = invoke("convert", "tables", "new.model")
    assert said.code == 0, said.err
    local = LocalModel.load("new.model")
    assert local.predict("bob", 1) == pytest.approx(3 * 3 + 4 * 4)
    assert local.predict("ann", 3) == pytest.approx(1 + 4)


def test_a_copy_of_numpy(invoke, fitted, here):
    assert invoke("convert", fitted, "--to", "numpy").code == 0
    assert (here / fitted / "arrays" / "arrays.json").is_file()
    assert json.loads(invoke("info", fitted, "--json").out)["numpyCopy"] is True


def test_the_demonstration_needs_nothing(invoke):
    said = invoke("demo")
    assert said.code == 0, said.err
    assert "sample: 1,501 ratings of 100 films by 30 users" in said.err
    assert "daskals recommend ratings.csv --out recommendations.csv" in said.out
    facts = json.loads(invoke("demo", "--json").out)
    assert facts["rmse"] < facts["rmseOfMean"]
    assert {each["user"] for each in facts["recommendations"]} == {0, 1, 2}
    assert invoke("demo", "ml-7").code == 2


def test_the_demonstration_without_a_network_names_what_the_command_takes(invoke, monkeypatch, here):
    nobody = {"cache_dir": here, "base_url": "http://127.0.0.1:9", "md5": "0" * 32}
    monkeypatch.setattr("daskals.cli.demonstrating.load_movielens_titles", partial(load_movielens_titles, **nobody))
    said = invoke("demo", "ml-100k")
    assert said.code == 1
    assert "and name the folder: daskals demo FOLDER" in said.err
    assert "load_movielens" not in said.err


def test_parameters_are_listed_as_the_library_has_them(invoke):
    listed = {each["name"]: each for each in json.loads(invoke("params", "--json").out)}
    assert set(listed) == {param.name for param in ALS().params}
    assert listed["rank"]["default"] == 10
    assert "rank (default 10, option --rank)" in invoke("params", "rank").out
