"""Draws the pictures of docs/explanation: how ratings become blocks, how rows travel, what a lost worker costs.

    python docs/pictures/blocks.py

The arrays in the first picture are made by the functions that a fit calls. Run the script after a change here or in
`_style.py`; ``tests/project/test_docs_figures.py`` fails where that was forgotten.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import _style
import numpy as np
from _style import COLOURS

if TYPE_CHECKING:
    from daskals.blocks.ratings import InBlock

#: A rating is named after its cell: 3.4 is what user 3 thinks of item 4.
CELLS = (0.3, 1.1, 1.5, 2.0, 2.4, 3.1, 3.4, 4.2, 5.0, 5.3, 6.5, 7.3, 7.6)
USERS, ITEMS = 8, 7
#: Where the blocks of the two sides begin, and the ends.
USER_BOUNDS, ITEM_BOUNDS = np.array([0, 4, 8]), np.array([0, 4, 7])


#: Where a worker is lost in the picture of that, from left to right.
LOST = 52


def canvas(height: float, top: float) -> tuple[Any, Any]:
    """A figure with one Axes that has no frame: x goes from 0 to 100, y from ``top``, which is above, to 0."""
    drawn, axes = _style.figure(height)
    axes.set(xlim=(0, 100), ylim=(0, top))
    axes.axis("off")
    return drawn, axes


def box(axes: Any, x: float, y: float, width: float, height: float, fill: str = "box", edge: str = "grid") -> None:
    """A rectangle whose lower left corner is at x, y."""
    from matplotlib.patches import Rectangle

    colours = {"facecolor": COLOURS.get(fill, fill), "edgecolor": COLOURS[edge]}
    axes.add_patch(Rectangle((x, y), width, height, linewidth=1.2, **colours))


def label(axes: Any, x: float, y: float, text: str, colour: str = "ink", **options: Any) -> None:
    """Text whose middle is at x, y, unless ``ha`` or ``va`` says otherwise."""
    axes.text(x, y, text, **{"ha": "center", "va": "center", "color": COLOURS[colour], "fontsize": 12, **options})


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], colour: str = "faint", **how: Any) -> None:
    """An arrow from one point to another."""
    look = {"arrowstyle": "-|>", "color": COLOURS[colour], "linewidth": 1.6, "mutation_scale": 14, **how}
    axes.annotate("", end, start, arrowprops={**look, "shrinkA": 0, "shrinkB": 0})


# ---- ratings become blocks -------------------------------------------------------------------------------


def first_block(rows: np.ndarray, sources: np.ndarray, bounds: np.ndarray, n_sources: int) -> InBlock:
    """The first in-block of a side of the example, by the functions that a fit calls."""
    from daskals.blocks import in_blocks
    from daskals.blocks.ratings import RatingBlock

    ratings = RatingBlock(rows.astype(np.int32), sources.astype(np.int32), np.array(CELLS, np.float32))
    pieces = in_blocks.split([ratings], bounds)
    block: InBlock = in_blocks.build(0, int(bounds[1]), n_sources, [pieces[0]])
    return block


def array(axes: Any, x: float, y: float, name: str, values: list[str], fill: str) -> None:
    """An array as cells in a row, with its name before them."""
    label(axes, x - 1.2, y + 2.5, name, ha="right", colour="faint", fontsize=11)
    for place, value in enumerate(values):
        box(axes, x + place * 4.6, y, 4.6, 5, fill=fill)
        label(axes, x + place * 4.6 + 2.3, y + 2.4, value, fontsize=11)


def block_of(axes: Any, y: float, title: str, block: InBlock, fill: str) -> None:
    """An in-block: its three arrays, under a title."""
    label(axes, 52, y + 23, title, ha="left", weight="bold")
    array(axes, 62.5, y + 14.4, "indptr", [str(value) for value in block.indptr], fill)
    array(axes, 62.5, y + 7.2, "positions", [str(value) for value in block.source_positions], fill)
    array(axes, 62.5, y, "ratings", [f"{value:.1f}" for value in block.ratings], fill)


def ratings_to_blocks() -> None:
    """The ratings of the example as a grid, and the two in-blocks that have the ratings of its upper left corner."""
    drawn, axes = canvas(3.75, 62)
    users = np.array([int(cell) for cell in CELLS])
    items = np.array([round(10 * cell) % 10 for cell in CELLS])
    wide, high = 5.0, 5.6
    left, top = 6.0, 51.0
    box(axes, left, top - 4 * high, ITEMS * wide, 4 * high, fill="ours-pale")
    box(axes, left, top - 8 * high, ITEMS * wide, 4 * high)
    for item in range(ITEMS):
        label(axes, left + (item + 0.5) * wide, top + 2.6, str(item), "warm" if item < 4 else "faint", fontsize=11)
    for user in range(USERS):
        label(axes, left - 2, top - (user + 0.5) * high, str(user), "ours" if user < 4 else "faint", fontsize=11)
    for user, item, cell in zip(users, items, CELLS, strict=True):
        label(axes, left + (item + 0.5) * wide, top - (user + 0.5) * high, f"{cell:.1f}", fontsize=11)
    box(axes, left, top - 8 * high, 4 * wide, 8 * high, fill="none", edge="warm")
    label(axes, left + 3.5 * wide, top + 7.5, "items", "faint")
    label(axes, left - 5.2, top - 4 * high, "users", "faint", rotation=90)
    arrow(axes, (left + ITEMS * wide + 1, top - 2 * high), (49.5, 45), "ours")
    arrow(axes, (left + 4 * wide + 0.6, top - 7.4 * high), (49.5, 14), "warm")
    first = first_block(users, items, USER_BOUNDS, ITEMS)
    block_of(axes, 33, "in-block of users 0 to 3", first, "ours-pale")
    second = first_block(items, users, ITEM_BOUNDS, USERS)
    block_of(axes, 1, "in-block of items 0 to 3", second, "warm-pale")
    _style.write("ratings-to-blocks", drawn, "Ratings as a grid, and two in-blocks made of them", Path(__file__))


# ---- rows travel -----------------------------------------------------------------------------------------


def half_step() -> None:
    """Two workers solve users from items: what stays where it is, and what travels."""
    drawn, axes = canvas(4.1, 66)
    label(axes, 50, 63, "rows of all items, in panels", weight="bold")
    for n, x in enumerate((30, 52)):
        box(axes, x, 52.5, 18, 7, fill="warm-pale", edge="warm")
        label(axes, x + 9, 55.9, f"panel {n}")
    for n, x in enumerate((3, 52)):
        box(axes, x, 12.5, 45, 31, fill="box")
        label(axes, x + 22.5, 40.5, f"worker {'AB'[n]}", weight="bold")
        label(axes, x + 22.5, 35.6, "all items, joined once", "warm", fontsize=11)
        for place in range(2):
            corner = x + 2 + place * 21.5
            box(axes, corner, 22.5, 19.5, 10, fill="ours-pale", edge="ours")
            label(axes, corner + 9.75, 27.3, f"ratings,\nblock {2 * n + place}", fontsize=11)
            arrow(axes, (corner + 9.75, 22), (corner + 9.75, 18.6))
            label(axes, corner + 9.75, 15.8, f"rows, block {2 * n + place}", fontsize=11)
        arrow(axes, (39, 52), (x + 22.5, 44.2), "warm")
        arrow(axes, (61, 52), (x + 22.5, 44.2), "warm")
        arrow(axes, (x + 22.5, 12), (39 + 22 * n, 8.4), "warm")
    for n, x in enumerate((30, 52)):
        box(axes, x, 1, 18, 7, fill="warm-pale", edge="warm")
        label(axes, x + 9, 4.4, f"panel {n}")
    label(axes, 28.5, 4.4, "rows of users, for\nthe next half-step", ha="right", weight="bold")
    label(axes, 97, 61, "stays", "ours", ha="right", weight="bold")
    label(axes, 97, 56, "travels", "warm", ha="right", weight="bold")
    _style.write("half-step", drawn, "A half-step on two workers: ratings stay, rows travel", Path(__file__))


def streamed() -> None:
    """One block, when there is no room for all rows of the other side: a panel at a time."""
    drawn, axes = canvas(2.0, 33)
    names = ("A = 0\nb = 0", "A, b of\npanel 0", "A, b of\n0 and 1", "A, b of\nall panels")
    for n, text in enumerate(names):
        x = 1 + n * 20.5
        box(axes, x, 3, 13.5, 12, fill="ours-pale", edge="ours")
        label(axes, x + 6.75, 8.8, text, fontsize=11)
        if n < len(names) - 1:
            arrow(axes, (x + 14, 9), (x + 20, 9))
            box(axes, x + 10.5, 22, 13, 7, fill="warm-pale", edge="warm")
            label(axes, x + 17, 25.3, f"panel {n}", fontsize=11)
            arrow(axes, (x + 17, 21.5), (x + 17, 10), "warm")
    arrow(axes, (76.5, 9), (84, 9))
    label(axes, 80.2, 13, "solve", "faint", fontsize=11)
    box(axes, 84.5, 3, 14.5, 12)
    label(axes, 91.7, 8.8, "rows of\nthe block", fontsize=11)
    _style.write("streamed", drawn, "The equations of a block, added up panel by panel", Path(__file__))


# ---- a worker is lost ------------------------------------------------------------------------------------


def lost_worker() -> None:
    """A fit on two workers over time: one is lost in the third iteration."""
    drawn, axes = canvas(3.0, 50)
    lanes = {"scheduler": 37, "worker A": 22, "worker B": 7}
    for name, y in lanes.items():
        label(axes, 13.5, y + 4, name, ha="right")
        axes.plot([15, 99], [y, y], color=COLOURS["grid"], linewidth=1)
    parts = [
        ("read", 15, 10, "box"), ("1", 26, 9, "ours-pale"), ("2", 36, 9, "ours-pale"), ("3", 46, 5, "warm-pale"),
        ("read again", 55, 18, "box"), ("3", 74, 9, "ours-pale"), ("4", 84, 9, "ours-pale"),
    ]  # fmt: skip
    for text, x, width, fill in parts:
        for name in ("worker A", "worker B") if x < LOST else ("worker A",):
            box(axes, x, lanes[name] + 0.5, width, 7, fill=fill)
            label(axes, x + width / 2, lanes[name] + 3.9, text, fontsize=11)
    for x, number in ((35, 1), (45, 2), (83, 3), (93, 4)):
        arrow(axes, (x + 0.5, lanes["worker A"] + 8), (x + 0.5, lanes["scheduler"] + 0.3), "warm")
        label(axes, x + 0.5, lanes["scheduler"] + 4.4, f"users {number}", "warm", fontsize=11)
    axes.plot(
        [LOST - 1, LOST + 1], [lanes["worker B"] + 1.5, lanes["worker B"] + 6.5], color=COLOURS["gone"], linewidth=3
    )
    axes.plot(
        [LOST - 1, LOST + 1], [lanes["worker B"] + 6.5, lanes["worker B"] + 1.5], color=COLOURS["gone"], linewidth=3
    )
    label(axes, LOST + 3, lanes["worker B"] + 4, "lost, with its share of the ratings", "gone", ha="left", fontsize=11)
    arrow(axes, (64, lanes["scheduler"] - 0.5), (74, lanes["worker A"] + 8), "warm", linestyle="--")
    label(axes, 64, lanes["scheduler"] + 4.4, "users 2 still here", "faint", fontsize=11)
    axes.annotate("", (99, 2), (15, 2), arrowprops={"arrowstyle": "-|>", "color": COLOURS["faint"]})
    label(axes, 99, -1, "time", "faint", ha="right", fontsize=11)
    _style.write("lost-worker", drawn, "A fit over time: a worker is lost in the third iteration", Path(__file__))


def main() -> None:
    """Draw all of them."""
    ratings_to_blocks()
    half_step()
    streamed()
    lost_worker()


if __name__ == "__main__":
    main()
