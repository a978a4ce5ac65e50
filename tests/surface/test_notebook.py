"""The figures that a notebook printed on Spark 2.3 (ml-100k, split ua), to the digits that float32 has."""

import math

import numpy as np
import pytest
from support.notebook import RMSE, RMSE_FIRST, SEED

from daskals import ALS
from daskals.evaluation import RegressionEvaluator

PREDICTIONS = {(251, 148): 3.0381240844726562, (580, 148): 3.0317912101745605, (602, 148): 3.5022647380828857}

RMSE_SPARK_3 = 0.9643718727

ITEM_FACTORS = {
    10: [
        *(0.4910842180252075, 0.5687710046768188, 0.6812558770179749, -0.5482439398765564, 0.27426472306251526),
        *(0.3678845167160034, -1.098655104637146, 0.2107856124639511, 0.8881864547729492, 0.2629821300506592),
    ],
    20: [
        *(0.9072177410125732, 0.5339254140853882, 0.5115773677825928, -1.2328755855560303, 0.542868435382843),
        *(0.44991403818130493, -0.4627978801727295, 0.22674496471881866, -0.17887842655181885, -0.09169133007526398),
    ],
}
USER_FACTORS = {
    10: [
        *(0.9489773511886597, 0.5666304230690002, 1.103602409362793, -1.2175092697143555, 0.11277274787425995),
        *(-0.24626755714416504, -0.7906545400619507, 1.0588929653167725, 0.6422020792961121, 0.6299095749855042),
    ],
    20: [
        *(1.147719383239746, 0.6592509746551514, -0.3106571137905121, -1.272091031074524, -0.3390337824821472),
        *(-0.4940218925476074, -0.4846492409706116, 0.5361677408218384, 0.9728611707687378, 0.6635444760322571),
    ],
    30: [
        *(0.5372956395149231, 0.13461139798164368, 0.7390300631523132, -1.470736026763916, 0.1607738584280014),
        *(0.02893531695008278, -0.9771374464035034, 1.3123841285705566, 1.0575284957885742, 0.3354685306549072),
    ],
}

ITEM_1342 = [
    *((662, 3.724311590194702), (118, 3.557661533355713), (440, 3.4993064403533936)),
    *((270, 3.4897232055664062), (427, 3.3939871788024902)),
]
USERS = {
    496: [
        *((838, 5.011465549468994), (1589, 4.678163051605225), (320, 4.476866722106934)),
        *((1449, 4.4084930419921875), (853, 4.3602375984191895)),
    ],
    463: [
        *((1463, 4.4693193435668945), (1449, 4.301555156707764), (1512, 4.2987494468688965)),
        *((1084, 4.217663764953613), (1251, 4.2151079177856445)),
    ],
}

#: tolerances by precision: (RMSE, predictions of test rows, ratings of recommendations). The last are of items with
#: one or two ratings, the worst determined there are: in single precision what holds of any two fits holds of them.
TOLERANCES = {"double": (1e-7, 1e-6, 1e-5), "single": (2e-6, 2e-5, 1e-4)}


class Fits:
    """Models of the notebook, each fitted once."""

    def __init__(self, ml100k):
        self.base, self.test = ml100k
        self.models = {}

    def __call__(self, precision="double", maxIter=5, rank=10, sparkRandom="2"):
        key = precision, maxIter, rank, sparkRandom
        if key not in self.models:
            als = ALS(rank=rank, maxIter=maxIter, seed=SEED, sparkRandom=sparkRandom, precision=precision)
            self.models[key] = als.fit(self.base)
        return self.models[key]

    def rmse(self, model, strategy):
        predictions = model.transform(self.test, {model.coldStartStrategy: strategy})
        return RegressionEvaluator(labelCol="rating", metricName="rmse").evaluate(predictions)


@pytest.fixture(scope="module")
def fits(ml100k):
    return Fits(ml100k)


def recommended(frame, column, query):
    """[(id, rating)] of one query, in the order of the frame."""
    (found,) = frame.recommendations[frame[column] == query]
    (other,) = set(found[0]) - {"rating"}
    return [(each[other], each["rating"]) for each in found]


def check_recommendations(found, expected, tolerance):
    assert [each for each, _ in found] == [each for each, _ in expected]
    np.testing.assert_allclose([r for _, r in found], [r for _, r in expected], rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_predictions_of_the_notebook(fits, precision):
    """model.transform(test) gives the predictions that the notebook shows."""
    predicted = fits(precision).transform(fits.test).set_index(["user", "item"]).prediction
    assert predicted.dtype == np.float32
    found = [predicted[pair] for pair in PREDICTIONS]
    np.testing.assert_allclose(found, list(PREDICTIONS.values()), rtol=0, atol=TOLERANCES[precision][1])


def test_rows_of_unknown_items_are_the_two_nan_of_the_notebook(fits):
    """Items 1582 and 1653 were not in the training data; all other predictions are numbers."""
    predicted = fits().transform(fits.test)
    unknown = predicted[predicted.prediction.isna()]
    assert sorted(zip(unknown.user, unknown.item, strict=True)) == [(405, 1582), (675, 1653)]
    assert len(predicted) == len(fits.test) == 9430


@pytest.mark.parametrize("precision", TOLERANCES)
def test_rmse_is_nan_while_nan_predictions_are_left_in(fits, precision):
    """The notebook's first surprise."""
    assert math.isnan(fits.rmse(fits(precision), "nan"))


@pytest.mark.parametrize(("maxIter", "rank"), RMSE)
@pytest.mark.parametrize("precision", TOLERANCES)
def test_rmse_of_the_notebook_with_cold_start_dropped(fits, precision, maxIter, rank):
    """The three models that the notebook compares."""
    found = fits.rmse(fits(precision, maxIter, rank), "drop")
    assert found == pytest.approx(RMSE[maxIter, rank], rel=0, abs=TOLERANCES[precision][0])


def test_rmse_of_spark_3(fits):
    """Spark 3 and later start from other values."""
    assert fits.rmse(fits(sparkRandom="3"), "drop") == pytest.approx(RMSE_SPARK_3, rel=0, abs=1e-7)


def test_spark_3_is_the_default(fits):
    """Without sparkRandom the numbers are those of Spark 3, in single precision."""
    model = ALS(rank=10, maxIter=5, seed=SEED).fit(fits.base)
    assert fits.rmse(model, "drop") == pytest.approx(RMSE_SPARK_3, rel=0, abs=2e-6)


@pytest.mark.parametrize(
    ("side", "expected"), [("itemFactors", ITEM_FACTORS), ("userFactors", USER_FACTORS)], ids=["items", "users"]
)
def test_factors_of_the_notebook(fits, side, expected):
    """The vectors that the notebook shows, each number of each."""
    features = getattr(fits(), side).set_index("id").features
    for key, vector in expected.items():
        np.testing.assert_allclose(features[key], vector, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_best_users_of_an_item_of_the_notebook(fits, precision):
    """recommendForAllItems(5) for item 1342: the ids in order, and the ratings."""
    found = recommended(fits(precision).recommendForAllItems(5), "item", 1342)
    check_recommendations(found, ITEM_1342, TOLERANCES[precision][2])


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("user", USERS)
def test_best_items_of_users_of_the_notebook(fits, precision, user):
    """recommendForAllUsers(5) for users 496 and 463: the ids in order, and the ratings."""
    found = recommended(fits(precision).recommendForAllUsers(5), "user", user)
    check_recommendations(found, USERS[user], TOLERANCES[precision][2])


def test_fit_with_a_map_of_parameters_is_the_notebook_s_own_call(fits):
    """als.fit(dataset, params={...}) overrides the estimator's values and leaves the estimator as it is."""
    als = ALS(rank=10, maxIter=1, seed=SEED, sparkRandom="2", precision="double")
    model = als.fit(fits.base, params={als.coldStartStrategy: "drop", als.maxIter: 5})
    assert model.getOrDefault("coldStartStrategy") == "drop"
    assert als.getMaxIter() == 1
    predictions = model.transform(fits.test)
    assert len(predictions) == len(fits.test) - 2
    assert RegressionEvaluator(labelCol="rating").evaluate(predictions) == pytest.approx(RMSE_FIRST, rel=0, abs=1e-7)
