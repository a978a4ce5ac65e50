"""``python -m daskals``: the command of `daskals.cli.main`."""

from daskals.cli.main import run

if __name__ == "__main__":  # worker processes import this file
    run()
