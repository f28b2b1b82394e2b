"""The command line as ``python -m sji_edge``."""

from sji_edge.cli.main import run

if __name__ == "__main__":
    run()
