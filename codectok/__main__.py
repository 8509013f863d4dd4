"""``python -m codectok`` is the ``codectok`` command."""

from codectok.cli.main import main

if __name__ == "__main__":
    main(prog_name="codectok")
