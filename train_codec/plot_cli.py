"""`codectok plot`: the curves of a run as one picture."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import handle_errors
from codectok.cli.help import Renamed, command


@command()
@click.argument("run", metavar="RUN")
@click.option(
    "-o", "--output", "out", cls=Renamed, old=["--out"], metavar="OUT.png", help="File.  [default: RUN/curves.png]"
)
@handle_errors
def plot(run: str, out: str | None) -> None:
    """Draw the curves of a training run as one PNG.

    RUN is the folder of a run (out= of its recipe), finished or not: losses, PESQ, STOI and mel distance per bitrate,
    use of the codebooks per level, learning rate and gradient norm, as far as its log.jsonl has them.

    \b
    Examples:
      codectok plot runs/speech -o curves.png
    """
    from train_codec.watch.plot import plot as draw

    click.echo(f"wrote {draw(Path(run), Path(out) if out else None)}")
