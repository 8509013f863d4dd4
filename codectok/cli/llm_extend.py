"""``codectok llm extend``: audio tokens into a language model."""

from __future__ import annotations

import re
from pathlib import Path

import click

from codectok.cli.bpe import bpe_option, read_bpe
from codectok.cli.console import device_option, handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.extras import need

METHODS = ("mean", "mean+noise", "normal", "text", "codebook")


@command()
@click.argument("model")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the extended model.")
@click.option("--tokenizer", metavar="T", help="Audio tokenizer.  [default: speech; with --preset none]")
@click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Use the first K codebooks.")
@click.option("--dedup", is_flag=True, help="Merge runs of equal frames: their lengths are not said.")
@bpe_option("Say ids of this BPE instead of codes")
@click.option("--preset", metavar="P", help="Names and order of a published system, such as orpheus or llasa.")
@click.option("--name", default="audio", show_default=True, metavar="N", help="Of the new tokens: <|N_0_17|>.")
@click.option(
    "--markers",
    metavar="START,END",
    help="Tokens around audio, the base's own or new.  [default: <|N_start|>,<|N_end|>]",
)
@click.option("--languages", metavar="L", help="Add Whisper's task tokens and these languages: en,de")
@click.option("--timestamps", type=click.IntRange(min=0), default=0, metavar="N", help="Add N timestamps of 20 ms.")
@click.option("--init", type=click.Choice(METHODS), default="mean+noise", show_default=True, help="Of the new rows.")
@click.option("--pad-multiple", type=click.IntRange(min=1), default=1, metavar="N", help="Pad rows to a multiple of N.")
@click.option("--seed", type=int, metavar="N", default=0, help="Of the initialisation.")
@click.option("--text", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Text file to measure on.")
@device_option
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@handle_errors
def extend(
    model: str,
    output: Path,
    tokenizer: str | None,
    codebooks: int | None,
    dedup: bool,
    bpe: str | None,
    preset: str | None,
    name: str,
    markers: str | None,
    languages: str | None,
    timestamps: int,
    init: str,
    pad_multiple: int,
    seed: int,
    text: Path | None,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Give MODEL, a folder or hub id of transformers, the tokens of an audio tokenizer.

    Rows that it has stay as they are, bit for bit. Special tokens that it has already, such as <|audio_start|> of an
    audio model, are used again where names agree; --markers takes those of other names. The report, also in
    OUT/extend_report.json, says how the new rows compare to those of text, and how much probability they take from it.

    \b
    Examples:
      codectok llm extend Qwen/Qwen2.5-0.5B -o extended --tokenizer units
      codectok llm extend base -o out --markers '<|audio_bos|>,<|audio_eos|>'
      codectok llm extend gpt2/ -o extended --codebooks 4 --timestamps 1501
      codectok llm extend gpt2/ -o extended --tokenizer units --dedup --bpe
    """
    need("codectok llm extend needs", "llm", "transformers", "tokenizers")
    from codectok.llm.model.extend import ExtendOptions, extend_folder
    from codectok.llm.model.extend_report import SAMPLE_TEXT
    from codectok.llm.model.folder import quiet
    from codectok.llm.vocab.tags import whisper_tags
    from codectok.opening import check_device
    from codectok.tokenizer import load

    tags = tuple(whisper_tags(_languages(languages))) if languages is not None else ()
    around = tuple(part.strip() for part in markers.split(",")) if markers is not None else None
    if around is not None and (len(around) != 2 or not all(around) or around[0] == around[1]):
        raise click.UsageError(f"--markers {markers}: give two tokens, such as <|audio_bos|>,<|audio_eos|>")
    if not re.fullmatch("[A-Za-z0-9_-]{1,40}", name):
        raise click.UsageError(f"--name {name}: give letters, digits, hyphens and underscores")
    check_device(device)
    quiet()
    tok = load(tokenizer) if tokenizer is not None or preset is None else None
    if tok is None and (dedup or bpe is not None):
        raise click.UsageError("--dedup and --bpe are of an audio tokenizer: name it with --tokenizer")
    merges = None if tok is None else read_bpe(bpe, tok)
    options = ExtendOptions(
        init=init,
        pad_multiple=pad_multiple,
        seed=seed,
        text=SAMPLE_TEXT if text is None else text.read_text(encoding="utf-8", errors="replace"),
        device=device,
    )
    with progress(None, "extending"):
        report = extend_folder(
            model,
            output,
            tok,
            options,
            overwrite=overwrite,
            preset_name=preset,
            num_codebooks=codebooks,
            tags=tags,
            timestamps=timestamps,
            name=name,
            around=around,
            dedup=dedup,
            bpe=merges,
        )
    plain = report.to_dict()
    if as_json:
        print_json({"folder": str(output), **plain})
        return
    tables, figures = plain.pop("tables"), plain.pop("text")
    plain["tied"] = "yes, one table for both ends" if report.tied else "no, the head has its own rows"
    print_table(f"wrote {output}", [{"": key.replace("_", " "), "value": str(v)} for key, v in plain.items()])
    print_table("rows", tables)
    if figures:
        names = {"kl": "KL", "kl_renormalised": "KL among old ids"}
        rows = [{"": names.get(key, key.replace("_", " ")), "value": value} for key, value in figures.items()]
        print_table("on text, nats a token", rows)


def _languages(text: str) -> list[str]:
    """Names between commas: they become names of tokens, so nothing else may stand in them."""
    found = [part.strip() for part in text.split(",")]
    for name in found:
        if not re.fullmatch("[A-Za-z0-9-]+", name):
            raise click.UsageError(
                f"--languages: {name!r} is no language: letters, digits and hyphens, such as en,zh-tw"
            )
    return found
