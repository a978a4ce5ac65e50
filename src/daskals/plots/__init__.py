"""Pictures of fits, models and recommendations, by matplotlib: ``pip install 'daskals[viz]'``.

=========================  =========================================================================
`trainingCurve`            the error after each iteration, of one model or of several
`tuningGrid`               the metric of each map of a tuning run: a heat map, or a line
`itemMap`                  items as points, those close together that the same users like
`userRecommendations`      what a user rated beside what is recommended to the user
`residualsByPopularity`    how wrong predictions are of items with few ratings, and with many
`coverageByPopularity`     whether recommendations go to the items that are rated most anyway
=========================  =========================================================================

Each takes ``ax=``, the ``matplotlib.axes.Axes`` to draw into, makes a figure of its own without it, and returns the
Axes. Into a given one it draws and does no more: the layout of the figure is its owner's. Colours are those of the
style in force, light or dark. matplotlib is imported when a function is called, not before. Of Dask frames no more
comes to this process than what is drawn.

>>> import matplotlib
>>> matplotlib.use("Agg")                                       # no window
>>> import pandas as pd
>>> from daskals import ALS
>>> from daskals.plots import trainingCurve
>>> ratings = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "rating": [4.0, 2.0, 3.0]})
>>> ax = trainingCurve(ALS(rank=2, maxIter=5).fit(ratings))
>>> ax.get_ylabel()
'RMSE'
>>> import matplotlib.pyplot as plt
>>> plt.close(ax.figure)
"""

from daskals.plots.coverage import coverageByPopularity
from daskals.plots.curves import trainingCurve
from daskals.plots.grids import tuningGrid
from daskals.plots.lists import userRecommendations
from daskals.plots.maps import itemMap
from daskals.plots.residuals import residualsByPopularity

__all__ = [
    "coverageByPopularity",
    "itemMap",
    "residualsByPopularity",
    "trainingCurve",
    "tuningGrid",
    "userRecommendations",
]
