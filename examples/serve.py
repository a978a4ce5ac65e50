"""Recommendations over HTTP, from a saved model.

    pip install 'daskals[serve]'
    python examples/serve.py model/ --port 8000

    GET  /recommend/42?n=10&exclude=7,9         the best items for a user; for strangers the most popular ones
    POST /recommend  {"ratings": {"7": 5}}      for somebody who is not in the model, by ratings alone
    GET  /similar/7?n=10                        items like an item
    GET  /health                                200 when a model is loaded
    GET  /metrics                               for Prometheus

The model is one that ``ALSModel.save``, or Spark, wrote. When another one is saved to the same place, it is loaded
beside the one in use, and takes its place when it is complete; a request is answered from one of the two, and says from
which. A model that cannot be loaded leaves the old one in use, and is counted in ``model_reload_failures_total``.
Spark's files do not tell the parameters of the fit, which POST needs: pass them by
--fit '{"regParam": 0.1, "implicitPrefs": false}'.

The most popular items are those with the most ratings in the fit of the model in use. The files of Spark, and of
earlier versions of daskals, do not tell these numbers; then, or to recommend others to strangers, pass
--popular popular.json, a list of items, the most popular first:

    top = ratings["item"].value_counts().head(1000)
    pathlib.Path("popular.json").write_text(json.dumps(top.index.tolist()))

Without both, strangers get empty lists. The score of a popular item is null, for it is not one of the model's.
"""

import os

# requests are answered by threads; a BLAS with threads of its own would make them wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

try:
    import uvicorn
    from fastapi import FastAPI, HTTPException, Query, Request, Response
    from fastapi.responses import JSONResponse
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ModuleNotFoundError as missing:
    sys.exit(f"serve: needs {missing.name}: pip install 'daskals[serve]'")

from daskals.serving import LocalModel, Scored, UnknownIdError

logger = logging.getLogger("serve")


class Served:
    """The model in use, and loading another one when the files change."""

    def __init__(self, path: str, popular: list[Any] | None, parameters: dict[str, Any]) -> None:
        self.path, self.popular, self.parameters = path, popular, parameters
        self.registry = CollectorRegistry()
        self.seconds = Histogram("recommendation_seconds", "Time for an answer", ["kind"], registry=self.registry)
        self.strangers = Counter(
            "strangers_total", "Requests of users that are not in the model", registry=self.registry
        )
        self.reloads = Counter("model_reloads_total", "Models that were loaded", registry=self.registry)
        self.failures = Counter("model_reload_failures_total", "Models that were not loaded", registry=self.registry)
        self.in_use = Gauge("model_info", "The model in use", ["uid", "version"], registry=self.registry)
        self._seen: Any = None
        self.model: LocalModel | None = None  # one reference: whoever has read it has a whole model
        self.load_if_new()

    def load_if_new(self) -> None:
        """Load the model if the metadata, which a save puts in place, are other files than at the last time."""
        found = self._files()
        if found is None or found == self._seen:
            return
        try:
            model = LocalModel.load(self.path)
        except (OSError, ValueError) as error:  # half a model: what is in use stays in use
            if self.model is None:
                raise
            self.failures.inc()
            logger.warning("The model in %s was not loaded, which is tried again: %s", self.path, error)
            return
        self._seen = found if self._files() == found else None  # if it has changed meanwhile, look again
        if self.model is None or model.version != self.model.version:
            self.model = model
            self.in_use.clear()
            self.in_use.labels(model.uid, model.version).set(1)
            self.reloads.inc()
            logger.info("%s, version %s", model, model.version)
            if self.popular is None and model.itemCounts is None:
                logger.warning("Strangers get empty lists: %s does not tell what is popular: use --popular", self.path)

    def for_strangers(self, model: LocalModel, n: int, unwanted: Iterable[Any] = ()) -> dict[str, Any]:
        """The most popular items: those of --popular, or else those of the model, where it knows them."""
        self.strangers.inc()
        if self.popular is not None:
            without = set(unwanted)
            most = [item for item in self.popular if item not in without][:n]
        else:
            known = [] if model.itemCounts is None else plain(model.popular(n, unwanted))
            most = [each["item"] for each in known]
        return answer(model, [{"item": item, "score": None} for item in most], "popular")

    def _files(self) -> Any:
        try:
            files = [file.stat() for file in sorted(Path(self.path, "metadata").glob("part-*"))]
        except OSError:
            return None  # a save is just moving it into place
        return [(each.st_ino, each.st_mtime_ns, each.st_size) for each in files] or None


def plain(scored: Iterable[Scored]) -> list[dict[str, Any]]:
    """For JSON, which has no dates."""
    return [{"item": str(i) if isinstance(i, np.datetime64) else i, "score": score} for i, score in scored]


def answer(model: LocalModel, items: list[dict[str, Any]], source: str) -> dict[str, Any]:
    """What is sent: with the version of the model, and where the items come from."""
    return {"items": items, "source": source, "model": {"uid": model.uid, "version": model.version}}


def make_app(served: Served, every: float) -> FastAPI:
    """The application; ``every`` so many seconds it looks for another model."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await asyncio.to_thread(served.load_if_new)
            except Exception:
                logger.exception("Looking for another model failed; the next look is in %s s", every)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher = asyncio.create_task(watch())
        yield
        watcher.cancel()

    app = FastAPI(title="Recommendations", lifespan=lifespan)
    number = Query(10, ge=1, le=1000)

    @app.exception_handler(ValueError)
    def refuse(_: Request, error: ValueError) -> JSONResponse:
        """What is no id, ratings that are no numbers, a model whose parameters are not known."""
        return JSONResponse({"detail": str(error)}, 422)

    @app.get("/recommend/{user}")
    def recommend(user: str, n: int = number, exclude: str = "") -> dict[str, Any]:
        model = served.model  # read once: another one may come while this request is answered
        id_, unwanted = model.userFromText(user), list(map(model.itemFromText, filter(None, exclude.split(","))))
        with served.seconds.labels("recommend").time():
            try:
                return answer(model, plain(model.recommend(id_, n, unwanted)), "model")
            except UnknownIdError:
                return served.for_strangers(model, n, unwanted)

    @app.post("/recommend")
    def recommend_for_ratings(body: dict[str, dict[str, float]], n: int = number) -> dict[str, Any]:
        model = served.model
        ratings = {model.itemFromText(text): rating for text, rating in body.get("ratings", {}).items()}
        with served.seconds.labels("ratings").time():
            try:
                return answer(model, plain(model.recommendForRatings(ratings, n, **served.parameters)), "ratings")
            except UnknownIdError:
                return served.for_strangers(model, n)

    @app.get("/similar/{item}")
    def similar(item: str, n: int = number) -> dict[str, Any]:
        model = served.model
        with served.seconds.labels("similar").time():
            try:
                return answer(model, plain(model.similarItems(model.itemFromText(item), n)), "model")
            except UnknownIdError as error:
                raise HTTPException(404, str(error)) from None

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", **answer(served.model, [], "")["model"]}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(served.registry), media_type="text/plain; version=0.0.4")

    return app


def nearest_by_faiss(model: LocalModel, user: Any, n: int) -> list[Scored]:
    """The same as ``model.recommend(user, n)`` by an index of Faiss, for catalogues of tens of millions of items.

    Make the index once for each model. `IndexFlatIP` is exact; `IndexHNSWFlat` or `IndexIVFPQ` take a fraction of the
    time and miss some. hnswlib is used alike: ``hnswlib.Index("ip", model.rank)``, ``init_index(len(ids))``,
    ``add_items(model.itemFactors)``, ``knn_query(row, n)``, whose distances are 1 - score.
    """
    import faiss  # pip install faiss-cpu

    index = faiss.IndexFlatIP(model.rank)
    index.add(model.itemFactors)
    row = model.userFactors[np.searchsorted(model.userIds, user)]
    scores, places = index.search(row[None], n)
    return list(map(Scored, model.itemIds[places[0]].tolist(), scores[0].tolist()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a saved model")
    parser.add_argument("--popular", type=Path, help="JSON list of items for strangers, the best first")
    parser.add_argument(
        "--fit", type=json.loads, default={}, help="JSON of the parameters of the fit, for Spark's files"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks for another model")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    try:
        popular = json.loads(options.popular.read_text(encoding="utf-8")) if options.popular else None
        served = Served(options.model, popular, options.fit)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if served.model is None:
        raise SystemExit(f"{options.model} holds no model: there is no file metadata/part-* in it")
    uvicorn.run(make_app(served, options.every), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
