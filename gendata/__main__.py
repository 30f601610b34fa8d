"""``gendata`` and ``python -m gendata``."""

from gendata.cli import cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="gendata")


if __name__ == "__main__":
    main()
