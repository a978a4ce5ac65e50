"""What a notebook printed on Spark 2.3 (ml-100k, split ua), as far as several test files need it."""

SEED = 5757

RMSE_FIRST = 0.9590533627741923
#: By iterations and rank.
RMSE = {
    (5, 10): RMSE_FIRST,
    (20, 10): 0.9558872242636991,
    (20, 100): 0.9475039684939921,
}
