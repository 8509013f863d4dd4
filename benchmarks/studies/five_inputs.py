"""The same run with five inputs: keyword spotting from features, code vectors, codes, another clip's audio, and none.

``python -m benchmarks.studies.five_inputs -o OUT``                              the clips in this repository
``python -m benchmarks.studies.five_inputs $SPEECH/manifest.tsv -o OUT``         those of SPEECH

After Wang et al. 2025 (arXiv 2508.17863). A clip's keyword is the one of a list that its transcript holds; clips with
several are left out, and no transcript is in training and test both. A language model drawn from the seed learns to say
it: ``codectok llm train ... input=X`` with one data order, one budget and one prompt for all X. What it writes must be
the keyword, letter by letter. ``none`` and ``shuffled`` say what is to be had without listening.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from codectok.cli.console import handle_errors, print_json, print_table
from codectok.errors import CodectokError

from .tiny_llm import write_model

PATH = click.Path(path_type=Path)
PACKAGED = Path(__file__).parents[1] / "mini" / "clips.tsv"
KEYWORDS = "conference,message,enter,call"
INPUTS = ("continuous", "quantized", "discrete", "shuffled", "none")
TEST_SHARE = 0.3


@dataclass(frozen=True)
class KeywordClip:
    """A clip that holds one keyword."""

    id: str
    path: str
    text: str
    keyword: str
    speaker: str = ""


@dataclass(frozen=True)
class StudyBudget:
    """What every run has: a model of so many layers of a width, and so many steps."""

    steps: int = 200
    batch: int = 8
    learning_rate: float = 2e-3
    width: int = 64
    layers: int = 2


def keyword_clips(manifest: Path, keywords: Sequence[str]) -> list[KeywordClip]:
    """Clips of a manifest whose transcript holds one keyword and no other, as a word.

    Raises:
        CodectokError: a keyword that fewer than four transcripts hold alone.
    """
    from codectok.items.corpus import read_corpus
    from codectok.items.labels import find_text

    found = []
    for item in read_corpus(manifest):
        text = find_text(item.labels, "text")
        held = [word for word in keywords if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)]
        if len(held) == 1:
            found.append(KeywordClip(item.id, item.path, text, held[0], find_text(item.labels, "speaker")))
    for word in keywords:
        texts = {clip.text.lower() for clip in found if clip.keyword == word}
        if len(texts) < 4:
            raise CodectokError(f"{len(texts)} transcripts of {manifest} hold {word!r} alone: choose other keywords")
    return found


def split(clips: Sequence[KeywordClip], seed: int) -> tuple[list[KeywordClip], list[KeywordClip]]:
    """Training and test clips: of each keyword, about 0.7 and 0.3 of its transcripts, all clips of one together."""
    train: list[KeywordClip] = []
    test: list[KeywordClip] = []
    for word in sorted({clip.keyword for clip in clips}):
        texts: dict[str, list[KeywordClip]] = defaultdict(list)
        for clip in clips:
            if clip.keyword == word:
                texts[" ".join(re.findall(r"\w+", clip.text.lower()))].append(clip)
        names = sorted(texts)
        random.Random(f"{word} {seed}").shuffle(names)
        held = max(1, round(TEST_SHARE * len(names)))
        test += [clip for name in names[:held] for clip in texts[name]]
        train += [clip for name in names[held:] for clip in texts[name]]
    return train, test


def write_table(clips: Sequence[KeywordClip], path: Path) -> Path:
    """Clips as a manifest id, path, text, keyword."""
    from codectok.files.atomic import atomic_path

    lines = [f"{clip.id}\t{Path(clip.path).absolute()}\t{clip.text}\t{clip.keyword}\n" for clip in clips]
    with atomic_path(path) as temporary:
        temporary.write_text("id\tpath\ttext\tkeyword\n" + "".join(lines), encoding="utf-8")
    return path


def train_and_ask(
    out: Path, input: str, seed: int, train: Sequence[KeywordClip], test: Sequence[KeywordClip], budget: StudyBudget,
    settings: dict[str, Any], report: Callable[[str], None],
) -> list[str]:  # fmt: skip
    """What the model of one run says to each test clip.

    Args:
        out: folder of the seed; models, tables and features are kept in it.
        input: one of five.
        seed: of the language model, the order and the split.
        train: clips to train on.
        test: clips to ask about; for ``shuffled``, each with the audio of the next.
        budget: of the run.
        settings: of the audio input, the same for all five.
        report: called with lines of progress.
    """
    from codectok.llm.continuous.audio_input import AudioInput
    from codectok.llm.continuous.speech_model_making import open_speech_model
    from codectok.llm.training.audio_rows import AudioRows, read_items
    from codectok.llm.training.audio_run import train_audio
    from codectok.llm.training.audio_settings import AudioTrainSettings
    from codectok.llm.training.settings import TrainSettings, TrainStage

    base = out / "base"
    if not base.is_dir():
        write_model([clip.keyword for clip in train], base, 300, budget.width, budget.layers, seed)
    cache = str(out.parent / "features")
    audio = AudioInput(input=input, target="keyword", prompt="Keyword: ", cache=cache, init="normal", **settings)  # type: ignore[arg-type]
    stage = TrainStage("all", budget.steps, budget.learning_rate)
    run = TrainSettings((stage,), seed=seed, batch=budget.batch, log_every=100, checkpoint_every=10**6)
    table = write_table(train, out / "train.tsv")
    folder = train_audio(str(table), str(base), out / input, AudioTrainSettings(run, audio), report)
    speech = open_speech_model(folder)
    items = read_items(str(write_table(test, out / "test.tsv")), audio)
    rows = AudioRows(items, speech, Path(cache), report)
    return [speech.answer([rows.heard(i)], max_new_tokens=8)[0] for i in range(len(rows))]


@click.command()
@click.argument("manifest", type=PATH, default=PACKAGED)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of models, features and rows.")
@click.option("--keywords", default=KEYWORDS, show_default=True, help="Words of the transcripts.")
@click.option("--encoder", default="units", show_default=True, help="Of the features: a tokenizer, or NAME@layer=L.")
@click.option("--tokenizer", default="", help="Of the codes, where the encoder is none.")
@click.option("--projector", default="linear", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=StudyBudget.steps, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
@handle_errors
def main(
    manifest: Path, output: Path, keywords: str, encoder: str, tokenizer: str, projector: str, steps: int, seeds: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Train and test all five inputs on keywords of the clips of MANIFEST."""
    from codectok.files.atomic import atomic_path
    from codectok.llm.model.folder import quiet

    quiet()
    clips, budget = keyword_clips(manifest, keywords.split(",")), StudyBudget(steps=steps)
    settings = {"encoder": encoder, "tokenizer": tokenizer, "projector": projector}
    right: dict[str, list[list[bool]]] = {name: [] for name in INPUTS}
    chances: list[tuple[float, float]] = []
    for seed in range(seeds):
        train, test = split(clips, seed)
        chances.append(chance(train, test))
        out = output / f"seed-{seed}"
        out.mkdir(parents=True, exist_ok=True)
        for name in INPUTS:
            said = train_and_ask(
                out, name, seed, train, test, budget, settings, lambda line: click.echo(line, err=True)
            )
            right[name].append([answer == clip.keyword for answer, clip in zip(said, test, strict=True)])
            share = 100 * sum(right[name][-1]) / len(test)
            click.echo(f"seed {seed}  {name}: {share:.1f} % of {len(test)} test clips", err=True)
    rows = [_row(name, right[name], chances) for name in INPUTS]
    with atomic_path(output / "rows.json") as path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(rows)
    else:
        counts = {word: sum(clip.keyword == word for clip in clips) for word in keywords.split(",")}
        print_table(f"{len(clips)} clips, {counts}; {encoder}, {projector}, {steps} steps", rows)


def chance(train: Sequence[KeywordClip], test: Sequence[KeywordClip]) -> tuple[float, float]:
    """Accuracy in per cent of guessers that know how often each keyword comes: an interval of 95 %."""
    from ..contract import Clip
    from ..tasks.chance import class_chance

    known, asked = ([Clip(c.id, c.path, c.id, c.keyword) for c in part] for part in (train, test))
    return class_chance(known, asked, lambda a, b: 100 * sum(x == y for x, y in zip(a, b, strict=True)) / len(a))


def _row(name: str, right: Sequence[Sequence[bool]], chances: Sequence[tuple[float, float]]) -> dict[str, Any]:
    from ..report.stats import t_interval

    found = t_interval([100 * sum(one) / len(one) for one in right])
    interval = "" if found.low is None or found.high is None else f"{found.low:.1f} to {found.high:.1f}"
    low, high = (sum(bound) / len(chances) for bound in zip(*chances, strict=True))
    return {
        "input": name,
        "accuracy": round(found.mean, 1),
        "95 % over seeds": interval,
        "by seed": ", ".join(f"{100 * sum(one) / len(one):.1f}" for one in right),
        "chance": f"{low:.0f} to {high:.0f}",
    }


if __name__ == "__main__":
    main()
