"""A new user rates five films and gets unseen ones with their titles; the model is saved, loaded and served.

python examples/new_user.py FOLDER     # MovieLens 100K as published; it is downloaded where there is no such folder
"""

import sys
import tempfile

import pandas as pd

from daskals import ALS
from daskals.datasets import load_movielens, load_movielens_titles
from daskals.serving import LocalModel

folder = sys.argv[1] if len(sys.argv) > 1 else None
ratings, titles = load_movielens("ml-100k", folder), load_movielens_titles("ml-100k", folder)
model = ALS(rank=32, implicitPrefs=True).fit(ratings)
mine = pd.DataFrame({"user": 5000, "item": [50, 172, 181, 210, 174], "rating": [5.0, 5.0, 4.0, 4.0, 5.0]})
unseen = model.recommendForRatings(mine, 5, minSupport=20, flat=True)
print(unseen.join(titles, on="item")[["rank", "title", "rating"]].to_string(index=False))
path = tempfile.mkdtemp() + "/model"
model.foldInUsers(mine).save(path)
served = LocalModel.load(path).recommend(5000, 5, exclude=mine["item"])
print("Served:", [titles[item] for item, _ in served])
