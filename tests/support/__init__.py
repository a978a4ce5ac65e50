"""What several test files use: oracles, and clusters that lose workers when a test wants it."""
