"""What Spark's own tests say of its ALS, said of daskals; and both beside each other where a Spark is installed."""
