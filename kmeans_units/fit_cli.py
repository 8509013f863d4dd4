"""`codectok units fit`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.console import finish, handle_errors, print_json, print_table
from codectok.cli.explain import explain_option, needed, print_settings
from codectok.cli.help import command
from codectok.extras import need

if TYPE_CHECKING:
    from kmeans_units.recipe import FitRecipe


@command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-o", "--output", "out", metavar="OUT", help="Model folder to write.  [required]")
@click.option("--trust-pickle", is_flag=True, help="Open pickled k-means files; a pickle can run any program.")
@click.option("--overwrite", is_flag=True, help="Replace a unit tokenizer that is in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures, or the settings, as JSON.")
@explain_option
@handle_errors
def fit(
    recipe: str,
    overrides: tuple[str, ...],
    out: str | None,
    trust_pickle: bool,
    overwrite: bool,
    as_json: bool,
    explain: bool,
) -> None:
    """Fit a unit tokenizer from a recipe.

    RECIPE is a YAML file or a packaged name (hubert-base, hubert-large, wavlm-large, whisper-base). KEY=VALUE changes
    one of its values, such as data=CORPUS, layer=9, k=2000 or k=[1000,1000] for residual levels, hours=10, seed=1,
    bpe_vocab_sizes=[4000,6000,8000]. A killed fit goes on when it is called again; frames already sampled serve other
    values of k. With centroids=FILE, a k-means file of fairseq, GSLM, textlesslib or bshall becomes a model folder.

    OUT gets config.json, model.safetensors, fit.json (inertia, held-out inertia, dead clusters, frames) and bpe.json: a
    model folder that `--tokenizer` takes.

    \b
    Examples:
      codectok units fit hubert-base data=corpus/ layer=9 k=500 -o my-units
      codectok units fit whisper-base data=corpus/ --explain
    """
    from kmeans_units.fit import fit_units
    from kmeans_units.recipe import explain_recipe, load_recipe, read_recipe

    if explain:
        print_settings(explain_recipe(read_recipe(recipe, overrides)), as_json)
        return
    out = needed(out, "-o")
    chosen = load_recipe(recipe, overrides)
    if not chosen.centroids:
        need("codectok units fit needs", "units", "faiss", "threadpoolctl", *_needed_by(chosen))
    tokenizer, report, wrote = fit_units(chosen, Path(out), trust_pickle=trust_pickle, overwrite=overwrite)
    for failure in report.get("failures", ()):
        click.echo(f"failed: {failure}", err=True)
    failed = report.get("failed", 0)
    if failed > len(report.get("failures", ())):
        click.echo(f"failed: {failed - len(report['failures'])} more", err=True)
    if as_json:
        print_json({"written": out if wrote else None, "fingerprint": tokenizer.fingerprint, **report})
    else:
        print_table(f"{'wrote' if wrote else 'already there:'} {out} ({', '.join(facts(report))})", rows(report))
    finish(1, failed)


def _needed_by(recipe: FitRecipe) -> list[str]:
    return ["sklearn"] * (recipe.backend == "sklearn") + ["tokenizers"] * bool(recipe.bpe_vocab_sizes)


def facts(report: dict[str, Any]) -> list[str]:
    """What was fitted on, in words."""
    if "imported" in report:
        return [f"imported from {', '.join(report['imported'])}"]
    return [
        f"{report['fit_frames']} of {report['frames'] - report['valid_frames']} frames",
        f"{report['clips']} clips, {report['hours']:.2f} h, {report['valid_clips']} of them held out",
        f"{report['seconds_taken']:.0f} s",
    ]


def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A line for each codebook; ``explained`` is the share of the held-out variance."""
    found = []
    for stream in report["streams"]:
        for level, figures in enumerate(stream["levels"]):
            held, variance = figures.get("valid_inertia"), stream.get("variance")
            found.append(
                {
                    "layer": stream["layer"],
                    "level": level,
                    "k": figures["k"],
                    "points": figures.get("points"),
                    "inertia": figures.get("inertia"),
                    "held-out": held,
                    "explained": None if held is None or not variance else 1 - held / variance,
                    "dead": figures.get("dead"),
                    "used held-out": figures.get("valid_used"),
                }
            )
    return found
