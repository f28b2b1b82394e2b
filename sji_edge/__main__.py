"""``python -m sji_edge``: the command line."""

from sji_edge.cli.main import run

if __name__ == "__main__":
    run()
