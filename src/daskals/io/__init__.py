"""The outside world: frames in and out, and the directories of models in Spark's layout.

Whether a frame is pandas or dask is asked here, and nowhere below or above.
"""
