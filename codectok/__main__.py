"""The ``codectok`` command, also as ``python -m codectok``: signals are handled before anything slow is imported."""

from codectok.stops import handled


def run() -> None:
    """Run the command of ``sys.argv``."""
    with handled(last=True):
        from codectok.cli.main import main

        main(prog_name="codectok")


if __name__ == "__main__":
    run()
