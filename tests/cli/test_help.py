"""Help that is right: examples that can be typed, options that exist; completion; the command under `dask`."""

import re
import shlex
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import dask.cli
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from daskals.cli.main import COMMANDS, cli
from daskals.cli.params_command import SET_BY_OPTIONS
from daskals.recommendation import ALS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_that_can_be_typed(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.short_help == COMMANDS[name], "the list of commands says what the command says"
    text = CliRunner().invoke(cli, [name, "--help"], terminal_width=200).output
    examples = re.findall(r'^ *(?:eval "\$\()?daskals (.*?)(?:\)"| > \S+)?$', text, re.MULTILINE)
    assert examples
    for example in examples:
        first, *arguments = shlex.split(example)
        other = cli.get_command(click.Context(cli), first)
        other.make_context(first, arguments)  # raises for options and arguments that there are not


def test_the_first_page_names_each_command():
    text = CliRunner().invoke(cli, ["--help"]).output
    for name, help_ in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(help_)}$", text, re.MULTILINE), name


def test_options_that_set_parameters_do_so():
    params = {param.name for param in ALS().params}
    options = {option for param in cli.get_command(click.Context(cli), "fit").params for option in param.opts}
    assert set(SET_BY_OPTIONS) <= params
    assert set(SET_BY_OPTIONS.values()) <= options


def test_a_file_in_place_of_a_command(here):
    (here / "ratings.csv").write_text("x")
    said = CliRunner().invoke(cli, ["ratings.csv"])
    assert said.exit_code == 2
    assert "ratings.csv is a file, not a command; perhaps: daskals recommend ratings.csv" in said.output


def test_a_command_that_is_misspelt():
    said = CliRunner().invoke(cli, ["recomend", "ratings.csv"])
    assert said.exit_code == 2
    assert "There is no command 'recomend'; perhaps: daskals recommend" in said.output


def test_completion():
    for shell in ("bash", "zsh", "fish"):
        script = CliRunner().invoke(cli, ["completion", shell]).output
        assert f"_DASKALS_COMPLETE={shell}_complete" in script
    complete = ShellComplete(cli, {}, "daskals", "_DASKALS_COMPLETE")
    assert {each.value for each in complete.get_completions([], "re")} == {"recommend"}
    found = {each.value for each in complete.get_completions(["fit", "--set"], "reg")}
    assert found == {"regParam=", "regCount=", "regExponent="}


def test_dask_finds_the_command():
    (name,) = PROJECT["entry-points"]["dask_cli"]
    group = click.Group("dask")
    dask.cli._register_command_ep(group, EntryPoint(name, PROJECT["entry-points"]["dask_cli"][name], "dask_cli"))
    said = CliRunner().invoke(group, ["daskals", "fit", "nothing.csv"])
    assert said.exit_code == 1
    assert "daskals: There is no nothing.csv" in said.output


def test_the_script_is_the_command():
    module, _, function = PROJECT["scripts"]["daskals"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
