"""What the how-to of docs/llm.md needs beyond the commands: prompts, a tiny model of text, and word errors.

``python -m benchmarks.studies.tiny_llm prompts MANIFEST -o known.tsv``  clips that have a transcript, as a table
``python -m benchmarks.studies.tiny_llm model known.tsv -o text``        byte-level BPE and a random Llama, as a folder
``python -m benchmarks.studies.tiny_llm score MODEL STORE known.tsv``    word error, and with the audio of other prompts

The shuffled arm gives each prompt the audio of another, with other words. A model that had learned the texts and does
not listen would lose nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from codectok.cli.console import handle_errors, print_json, print_table
from codectok.cli.progress import progress
from codectok.errors import CodectokError

PATH = click.Path(path_type=Path)
END = "</s>"


def write_prompts(manifest: Path, out: Path, join: Path | None = None, where: Sequence[str] = ()) -> int:
    """Write the clips of a manifest that have a transcript to a table id, path, text; how many there are.

    Args:
        manifest: with a column transcript.
        out: .tsv file.
        join, where: as in ``codectok units score``.

    Raises:
        CodectokError: none has.
    """
    from codectok.files.atomic import atomic_path
    from codectok.items.corpus import read_corpus
    from kmeans_units.columns import read_rows

    rows = [row for row in read_rows(read_corpus(manifest), join, where) if row.transcript]
    if not rows:
        raise CodectokError(f"no clip of {manifest} has a transcript")
    lines = [f"{row.item.id}\t{Path(row.item.path).absolute()}\t{row.transcript}\n" for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        temporary.write_text("id\tpath\ttext\n" + "".join(lines), encoding="utf-8")
    return len(rows)


def write_model(texts: Sequence[str], out: Path, vocab: int, dim: int, layers: int, seed: int) -> int:
    """Train a byte-level BPE on the texts, draw a Llama for it, write both to a folder; the number of parameters.

    Args:
        texts: to train on.
        out: folder of transformers.
        vocab: tokens of text at most; the 256 bytes are among them.
        dim: width of the model, a multiple of 64: heads have 32 dimensions, the feed-forward layers 4 x dim.
        layers: of it.
        seed: of the draw.
    """
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from codectok.llm.model.folder import new_folder

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocab, min_frequency=2, special_tokens=[END], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=dim,
        intermediate_size=4 * dim,
        num_hidden_layers=layers,
        num_attention_heads=dim // 32,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with new_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True)
class Written:
    """What the model wrote of a prompt: of its own audio, and of another prompt's."""

    id: str
    text: str
    own: str
    other: str


def transcribe(model_folder: Path, store_folder: Path, table: Path, limit: int | None = None) -> Iterator[Written]:
    """Let a model write every prompt of a table (or ``limit`` of them, evenly spread), always the likeliest token."""
    from codectok.llm.generate.events import TextPiece
    from codectok.llm.generate.generation import generate
    from codectok.llm.model.folder import open_model, open_text_tokenizer
    from codectok.llm.pack.texts import read_texts
    from codectok.llm.sequence.prompts import task_prompt
    from codectok.llm.sequence.segments import Prompter
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.metrics.intelligibility import normalise
    from codectok.store import open_store

    store, lines = open_store(store_folder), read_texts(table)
    texts = {id: line.text or "" for id, line in lines.items() if id in store}
    if len(set(map(normalise, texts.values()))) < 2:
        raise CodectokError(f"fewer than two texts of {table} have their speech in {store_folder}")
    model, tokenizer, vocab = open_model(model_folder), open_text_tokenizer(model_folder), AudioVocab.load(model_folder)
    ids = list(texts)

    def write(id: str) -> str:
        segments = task_prompt("asr", vocab, "", store[id].expand().codes, speak=False)
        prompt = Prompter(tokenizer, vocab).encode(segments, tokenizer.bos_token_id is not None).ids
        events = generate(model, tokenizer, vocab, prompt, max_new_tokens=96, do_sample=False)
        return "".join(e.text for e in events if isinstance(e, TextPiece))

    count = len(ids) if limit is None else min(limit, len(ids))
    for i in (k * len(ids) // count for k in range(count)):
        turned = ids[i + len(ids) // 2 :] + ids[: i + len(ids) // 2]
        other = next(id for id in turned if normalise(texts[id]) != normalise(texts[ids[i]]))
        yield Written(ids[i], texts[ids[i]], write(ids[i]), write(other))


def score(heard: Sequence[Written]) -> list[dict[str, Any]]:
    """Word error and share of prompts without one, in per cent: a row for its own audio, a row for another's."""
    from codectok.metrics.intelligibility import error_rate, word_edits

    rows = []
    for name in ("own", "other"):
        edits = [word_edits(one.text, getattr(one, name)) for one in heard]
        rate = error_rate(edits)
        low, high = (None if v is None else 100 * v for v in (rate.low, rate.high))
        exact = sum(e.total == 0 for e in edits) / len(edits)
        rows.append({"audio": name, "WER %": 100 * rate.mean, "low": low, "high": high, "without error %": 100 * exact})
    return rows


@click.group(help=__doc__)
def main() -> None:
    """See the module."""


@main.command("prompts")
@click.argument("manifest", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Table to write, .tsv.")
@click.option("--join", type=PATH, help="Table with a column path, whose other columns are added.")
@click.option("--where", multiple=True, metavar="COLUMN=PATTERN", help="Only these clips, as language='en*'.")
@handle_errors
def prompts_command(manifest: Path, output: Path, join: Path | None, where: tuple[str, ...]) -> None:
    """Write the clips of MANIFEST that have a transcript to a table."""
    click.echo(f"wrote {output}, {write_prompts(manifest, output, join, where)} prompts")


@main.command("model")
@click.argument("table", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Folder to write.")
@click.option("--vocab", default=400, show_default=True, help="Tokens of text.")
@click.option("--dim", default=192, show_default=True, help="Width of the model.")
@click.option("--layers", default=4, show_default=True, help="Of the model.")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
@handle_errors
def model_command(table: Path, output: Path, vocab: int, dim: int, layers: int, seed: int) -> None:
    """Train a text vocabulary on the texts of TABLE and draw a small Llama for it."""
    from codectok.llm.model.folder import quiet
    from codectok.llm.pack.texts import read_texts

    quiet()
    texts = [line.text or "" for line in read_texts(table).values()]
    click.echo(f"wrote {output}, {write_model(texts, output, vocab, dim, layers, seed) / 1e6:.2f} M parameters")


@main.command("score")
@click.argument("model", type=PATH)
@click.argument("store", type=PATH)
@click.argument("table", type=PATH)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many prompts, evenly spread.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures and every text as JSON.")
@handle_errors
def score_command(model: Path, store: Path, table: Path, limit: int | None, as_json: bool) -> None:
    """Word error of MODEL on the speech in STORE against the texts of TABLE."""
    from codectok.llm.model.folder import quiet

    quiet()
    heard = []
    with progress(limit, "listening") as bar:
        for one in transcribe(model, store, table, limit):
            heard.append(one)
            bar.advance()
    rows = score(heard)
    if as_json:
        print_json({"prompts": len(heard), "rows": rows, "texts": [asdict(one) for one in heard]})
    else:
        print_table(f"{len(heard)} prompts of {table}", rows)


if __name__ == "__main__":
    main()
