"""What the reference takes from the package itself, so that it cannot go stale.

``.. parameters:: daskals.ALS``        a table of the parameters of a class
``.. configuration::``                 the keys of daskals.yaml, with what its comments say
``.. command-help:: fit``              what ``daskals fit --help`` prints
``.. functions:: daskals.plots``       the functions of a module

It also cuts long signatures, and finds what docstrings call by a short name or by that of the module where it is made.
"""

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any, ClassVar, NamedTuple

from docutils import nodes
from docutils.nodes import Element
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

#: Signatures with more parameters than these are cut: the page lists all of them.
LONGEST_SIGNATURE = 6
#: Classes that users do not make themselves: what makes them takes other arguments than they want to read.
MADE_BY_OTHERS = {"daskals.ALSModel", "daskals.serving.LocalModel"}
KINDS = {"to_int": "int", "to_float": "float", "to_boolean": "bool", "to_string": "str"}


# ---- parameters of a class -------------------------------------------------------------------------------


def named(dotted: str) -> Any:
    """The object of a dotted name."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def parameter_rows(cls: type, whose: str) -> Iterator[list[str]]:
    """A row for each parameter of an estimator, in the order of its keywords: name, default, what it means.

    ``whose`` is "spark" for those that Spark has too, "daskals" for the others, and "all".
    """
    instance = cls()
    own = getattr(cls, "_own_params", ())
    keywords = list(inspect.signature(cls).parameters)
    by_keyword = sorted(instance.params, key=lambda param: [*keywords, param.name].index(param.name))
    for param in by_keyword:
        if whose != "all" and (whose == "daskals") != (param.name in own):
            continue
        default = f"``{param.default!r}``" if instance.hasDefault(param) else "not set"
        kind = KINDS.get(getattr(param.typeConverter, "__name__", ""))
        allowed = readable(param.check.allowed)
        yield [f"``{param.name}``", default, sentence(param.doc, allowed if allowed != "any value" else kind or "")]


def readable(allowed: str) -> str:
    """The words of an error message, without the bounds of Java's numbers."""
    return re.sub(r"'([\w ]*)'", r"``\1``", re.sub(r",? and at most 2147483647$", "", allowed))


def sentence(text: str, allowed: str) -> str:
    """With a capital first letter, what is quoted as code, and what is allowed."""
    quoted = re.sub(r"(\w+=)?'([\w.]+)'", r"``\1\2``", text)
    quoted = re.sub(r"alpha \|rating\|", "``alpha |rating|``", quoted)
    return quoted[0].upper() + quoted[1:] + (f". *{capital(allowed)}.*" if "``" not in allowed and allowed else ".")


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


# ---- the configuration -----------------------------------------------------------------------------------


class Key(NamedTuple):
    """A key of daskals.yaml."""

    name: str
    default: str
    text: str


def configuration_keys() -> list[Key]:
    """All keys in their order, each with the comment above it."""
    keys, comment = [], []
    content = files("daskals").joinpath("daskals.yaml").read_text(encoding="utf-8")
    for line in content.partition("\ndaskals:\n")[2].splitlines():
        if found := re.match(r"  # (.*)", line):
            comment.append(found[1])
        elif found := re.match(r"  ([\w-]+): (.*)", line):
            # a key without a comment of its own shares that of the one above it
            text = " ".join(comment).rstrip(",.") or f"As ``daskals.{keys[-1].name}``, above"
            keys.append(Key(found[1], found[2], f"{text}."))
            comment = []
    return keys


def allowed_of(name: str) -> str:
    """What a key may be, in the words of the error message."""
    from daskals.execution.settings import _CONVERSIONS

    return _CONVERSIONS[name.replace("-", "_")][1]


def configuration_lines() -> Iterator[str]:
    """A definition list in reStructuredText."""
    for key in configuration_keys():
        yield f".. _key-{key.name}:"
        yield ""
        yield f"``daskals.{key.name}``"
        yield f"    Default ``{key.default}``; {allowed_of(key.name)}."
        yield f"    In the environment: ``DASK_DASKALS__{key.name.replace('-', '_').upper()}``."
        yield ""
        yield f"    {code(key.text[0].upper() + key.text[1:])}"
        yield ""


def code(text: str) -> str:
    """A comment of the file in reStructuredText."""
    return re.sub(r"(?<!`)\b(null|num\w+Blocks|checkpointDir)\b", r"``\1``", text)


# ---- the command line ------------------------------------------------------------------------------------


def command_help(words: list[str]) -> str:
    """What a command prints with --help; ``KeyError`` where there is no such command."""
    import click

    found: Any = importlib.import_module("daskals.cli.main").cli
    size = {"terminal_width": 82, "max_content_width": 82}
    context = click.Context(found, info_name="daskals", **size)
    for word in words:
        found = found.get_command(context, word)
        if found is None:
            raise KeyError(word)
        context = click.Context(found, info_name=word, parent=context, **size)
    return str(found.get_help(context))


# ---- directives ------------------------------------------------------------------------------------------


def table(head: list[str], widths: list[int], rows: Iterable[list[str]]) -> Iterator[str]:
    """A table in reStructuredText."""
    yield ".. list-table::"
    yield "    :header-rows: 1"
    yield "    :class: parameters"
    yield f"    :widths: {' '.join(map(str, widths))}"
    yield ""
    for first, *others in [head, *rows]:
        yield f"    * - {first}"
        yield from (f"      - {cell}" for cell in others)


class FromLines(Directive):
    """A directive that stands for lines of reStructuredText."""

    has_content = False

    def parsed(self, lines: Iterable[str]) -> list[nodes.Node]:
        """The nodes that the lines make."""
        node = nodes.container()
        self.state.nested_parse(StringList(list(lines), source="from_the_package"), self.content_offset, node)
        return node.children


class Parameters(FromLines):
    """See the head of this file."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"whose": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """What stands in the page instead."""
        rows = parameter_rows(named(self.arguments[0]), self.options.get("whose", "all"))
        return self.parsed(table(["Parameter", "Default", "Meaning"], [24, 18, 58], rows))


class Configuration(FromLines):
    """See the head of this file."""

    def run(self) -> list[nodes.Node]:
        """What stands in the page instead."""
        return self.parsed(configuration_lines())


class Functions(FromLines):
    """See the head of this file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What stands in the page instead."""
        module = importlib.import_module(self.arguments[0])
        return self.parsed(f".. autofunction:: {module.__name__}.{name}" for name in module.__all__)


class CommandHelp(Directive):
    """See the head of this file."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """What stands in the page instead."""
        words = self.arguments[0].split() if self.arguments else []
        try:
            text = command_help(words)
        except KeyError:
            raise self.error(f"There is no command daskals {' '.join(words)}") from None
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        return [block]


# ---- signatures ------------------------------------------------------------------------------------------


def shorten(app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: Any, returned: Any) -> Any:
    """Cut a signature of many parameters: the page has them in a table or a list."""
    del app, what, obj, options
    if name in MADE_BY_OTHERS:
        return "", None
    if not isinstance(signature, str) or not signature.startswith("("):
        return None
    parts = split_outside(signature[1 : signature.rindex(")")])
    if len(parts) <= LONGEST_SIGNATURE:
        return None
    return f"({', '.join([*parts[: LONGEST_SIGNATURE - 1], '...'])})", returned


def split_outside(text: str) -> list[str]:
    """The parts between commas that are not inside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


# ---- links in docstrings ---------------------------------------------------------------------------------


def find_by_end(app: Sphinx, env: BuildEnvironment, node: Element, content: Element) -> nodes.reference | None:
    """Link `ALS.fit`, or `daskals.recommendation.ALSModel`, to what the reference shows as daskals.ALS.fit."""
    if node.get("refdomain") != "py":
        return None
    parts = node["reftarget"].split(".")
    known = env.domains.python_domain.objects
    for start in range(len(parts)):
        end = ".".join(parts[start:])
        found = [name for name in known if name == end or name.endswith(f".{end}")]
        # of daskals.ALS and daskals.tuning.ALS the first; the last part alone may be that of anything
        if found and (start == 0 or parts[start][0].isupper()):
            entry = known[min(found, key=len)]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_directive("parameters", Parameters)
    app.add_directive("configuration", Configuration)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("functions", Functions)
    app.connect("missing-reference", find_by_end)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
