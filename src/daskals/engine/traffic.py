"""Bytes that a half-step moves between processes, in each form that it can have. Arithmetic alone: nothing runs here.

A half-step solves the rows of the *destination* from those of the *source*; W processes hold a share of both. ::

    gather          every process receives the source's rows          n_source x columns
    reduce-exact    every process makes the equations of all          n_destination x unknowns (unknowns + 3) / 2
                    destination rows from its own source rows;
                    these parts are added in a tree, and solved
    reduce-cg       in each of cg_steps + 1 passes every process      2 (cg_steps + 1) x n_destination x unknowns
                    receives a direction for each destination row,
                    and gives back the product of its part of the
                    matrix with it, which are added in a tree

The right column says how many numbers that are for each process but one: what a process has of its own does not travel,
and a sum of W parts in a tree has W - 1 edges. So all processes together move W - 1 times as many.

In the reduced forms nothing grows with the number of source rows: they are for the few rows of one side that are solved
from the many of the other. What is a number or two for each row, or one for the whole side, is left out: losses, the
Gram matrix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: How a half-step brings rows of the source and equations of the destination together.
Form = Literal["gather", "reduce-exact", "reduce-cg"]
#: Rows of factors travel in single precision, whatever the precision of the equations is.
ROW_ITEMSIZE = 4


@dataclass(frozen=True)
class HalfStepSize:
    """What the traffic of a half-step depends on."""

    n_destination: int
    n_source: int
    #: of a row of factors, those of biases included
    columns: int
    #: how many processes have a share of both sides
    processes: int
    #: whether one of the columns is fixed, and not solved for (`daskals.blocks.biases`)
    has_biases: bool = False
    #: bytes of a number in the equations: 4, or 8 in double precision
    itemsize: int = 4

    @property
    def unknowns(self) -> int:
        """How many entries of a row are solved for."""
        return self.columns - 1 if self.has_biases else self.columns


def row_bytes(n_rows: int, columns: int) -> int:
    """Bytes of so many rows of factors, as they travel.

    >>> row_bytes(100_000_000, 64)
    25600000000
    """
    return n_rows * columns * ROW_ITEMSIZE


def equation_numbers(unknowns: int) -> int:
    """How many numbers the equations of one row are: a triangle of A, and b.

    >>> equation_numbers(64)
    2144
    """
    return unknowns * (unknowns + 3) // 2


def bytes_of_share(size: HalfStepSize, form: Form, cg_steps: int = 0) -> int:
    """Bytes that the half-step moves for each process but one; a process of many receives about as much.

    ``cg_steps`` matters to "reduce-cg" alone.

    Examples
    --------
    A million items from 100 million users, of rank 64:

    >>> size = HalfStepSize(1_000_000, 100_000_000, 64, processes=16)
    >>> bytes_of_share(size, "gather"), bytes_of_share(size, "reduce-exact"), bytes_of_share(size, "reduce-cg", 3)
    (25600000000, 8576000000, 2048000000)
    """
    if form == "gather":
        return row_bytes(size.n_source, size.columns)
    if form == "reduce-exact":
        return size.n_destination * equation_numbers(size.unknowns) * size.itemsize
    return 2 * (cg_steps + 1) * size.n_destination * size.unknowns * size.itemsize


def bytes_moved(size: HalfStepSize, form: Form, cg_steps: int = 0) -> int:
    """Bytes that the half-step moves from one process to another, all processes together; 0 where there is but one."""
    return (size.processes - 1) * bytes_of_share(size, form, cg_steps)


def fewest_bytes(size: HalfStepSize, forms: Iterable[Form], cg_steps: int = 0) -> Form:
    """Which of some forms moves the fewest bytes; of several that move as few, the first.

    >>> fewest_bytes(HalfStepSize(1000, 2000, 64, processes=4), ["gather", "reduce-exact"])
    'gather'
    """
    return min(forms, key=lambda form: bytes_moved(size, form, cg_steps))
