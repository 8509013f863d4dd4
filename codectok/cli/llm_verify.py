"""``codectok llm verify``: the rules that servers impose on a model folder."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import handle_errors, print_json
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.extras import need


@command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def verify(folder: Path, as_json: bool) -> None:
    """Check FOLDER, a model with audio tokens, against the rules of vLLM and llama.cpp. Exit status 1 if one fails.

    \b
    Examples:
      codectok llm verify extended
    """
    need("codectok llm verify needs", "llm", "transformers", "tokenizers")
    import dataclasses

    from codectok.llm.model.folder import quiet
    from codectok.llm.model.verify import verify_folder

    quiet()
    with progress(None, "verifying"):
        checks = verify_folder(folder)
    failed = [check for check in checks if check.ok is False]
    if as_json:
        print_json({"folder": str(folder), "ok": not failed, "checks": [dataclasses.asdict(c) for c in checks]})
    else:
        for check in checks:
            mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
            click.echo(
                f"{mark}  {check.rule}: {check.found}" + (f". To do: {check.remedy}" if check.ok is False else "")
            )
        click.echo(f"{folder}: " + (f"{len(failed)} of {len(checks)} rules broken" if failed else "all rules kept"))
    raise click.exceptions.Exit(1 if failed else 0)
