"""The getters and setters that classes have from their parameters, as code for type checkers.

They are made when a class is (`daskals.params.accessors`), which no type checker runs. So their signatures stand in a
module ``accessors`` of each package that has such classes. After a change of parameters write these modules anew::

    python tests/support/accessors.py
"""

import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from daskals.params import Params
from daskals.params.accessors import type_of

PACKAGES = ("recommendation", "evaluation", "tuning")
COMMAND = "python tests/support/accessors.py"
ROOT = Path(find_spec("daskals").origin).parent

HEAD = '''"""Signatures of getters and setters, for type checkers; written by ``{command}``."""

{imports}
'''
CLASS = '''

class {name}:
    """Those that `daskals.{module}.{owner}` has from its parameters."""

    if TYPE_CHECKING:

{methods}
'''


def modules():
    """The modules, with what is to stand in them: path -> text."""
    found = {package: [] for package in PACKAGES}
    for cls in classes_with_accessors():
        found[cls.__module__.split(".")[1]].append(cls)
    return {ROOT / package / "accessors.py": text_of(classes) for package, classes in found.items()}


def classes_with_accessors():
    """The classes of the library that have more getters and setters than those that they inherit from."""
    for package in PACKAGES:
        importlib.import_module(f"daskals.{package}")
    return [cls for cls in subclasses(Params) if vars(cls)["_accessors"]]


def subclasses(cls):
    """The classes of the library that inherit from a class, each after those that it inherits from."""
    ours = [each for each in cls.__subclasses__() if each.__module__.startswith("daskals.")]
    return list(dict.fromkeys(each for mine in ours for each in (mine, *subclasses(mine))))


def text_of(classes):
    """A module with the signatures of some classes."""
    body = "".join(
        CLASS.format(
            name=f"{cls.__name__}Accessors",
            module=cls.__module__.removeprefix("daskals."),
            owner=cls.__name__,
            methods="\n".join(map(signature, *zip(*sorted(vars(cls)["_accessors"].items()), strict=True))),
        )
        for cls in sorted(classes, key=lambda cls: cls.__name__)
    )
    used = [name for name in ("TYPE_CHECKING", "Any", "Self") if re.search(rf"\b{name}\b", body)]
    imports = [f"from typing import {', '.join(used)}"]
    imports[:0] = ["from collections.abc import Sequence"] if "Sequence[" in body else []
    imports += ["", "from daskals.params.param import ParamMap"] if "[ParamMap]" in body else []
    return HEAD.format(command=COMMAND, imports="\n".join(imports)) + body


def signature(name, param):
    """A line of code. Lists may be given as any sequence."""
    kind = type_of(param)
    if name.startswith("get"):
        return f"        def {name}(self) -> {kind}: ..."
    return f"        def {name}(self, value: {re.sub('^list', 'Sequence', kind)}) -> Self: ..."


if __name__ == "__main__":
    for path, text in modules().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT.parent)}\n")
