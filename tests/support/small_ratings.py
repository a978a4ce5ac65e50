"""A few ratings for files that the command reads."""

#: Seven users rate five items; user 7 has rated items 1 to 3 alone.
ROWS = [(user, item, (user * item) % 5 + 1) for user in range(1, 8) for item in range(1, 6) if user < 7 or item < 4]
#: Options of a fit that takes no time.
SMALL = ("--rank", "2", "--iterations", "3", "--seed", "1")


def lines_of(rows, separator=","):
    """Rows as lines of text."""
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)
