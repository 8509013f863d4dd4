"""``codectok llm score``: what a speech language model knows, by pairs, by seconds, and by what it goes on to say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codectok.cli.console import device_option, finish, handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.paths import expand
from codectok.cli.progress import progress
from codectok.extras import need
from codectok.files.suffixes import AUDIO_SUFFIXES

_PATH = click.Path(path_type=Path, exists=True)


@command(
    sections={
        "What to score": ["pairs", "audio", "continue_"],
        "Continuations": ["asr", "text_model", "language", "prompt_seconds", "max_seconds", "temperature", "seed"],
    }
)
@click.argument("model")
@click.option("--pairs", multiple=True, type=_PATH, help="Table with the columns good and bad, perhaps context, group.")
@click.option("--audio", type=_PATH, help="Clips: perplexity by seconds.")
@click.option("--continue", "continue_", type=_PATH, help="Clips whose beginnings are continued.")
@click.option("--asr", metavar="W", help="Folder of a Whisper that writes down what is said.")
@click.option("--text-model", metavar="M", help="Folder of a text model that judges it.")
@click.option("--language", default="en", show_default=True, help="That is spoken.")
@click.option("--prompt-seconds", type=click.FloatRange(min=0, min_open=True), metavar="X", default=3.0,
              show_default=True, help="Of each clip that are given.")  # fmt: skip
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True, max=30), metavar="X", default=10.0,
              show_default=True, help="Of new speech, at most.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(min=0), metavar="X", default=1.0, show_default=True,
              help="0: the likeliest.")  # fmt: skip
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of the draws.")
@click.option("--tokenizer", metavar="T", help="Audio tokenizer.  [default: the one it was extended with]")
@device_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the scores as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
@handle_errors
def score(
    model: str,
    pairs: tuple[Path, ...],
    audio: Path | None,
    continue_: Path | None,
    asr: str | None,
    text_model: str | None,
    language: str,
    prompt_seconds: float,
    max_seconds: float,
    temperature: float,
    seed: int,
    tokenizer: str | None,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Score MODEL, a folder with audio tokens, as a language model of speech.

    Pairs of audio files give the accuracies of sWUGGY, sBLIMP and, with a context, StoryCloze; clips give bits a
    second; continuations give the perplexity of what a recogniser hears, under a text model.

    \b
    Examples:
      codectok llm score trained --pairs words.tsv --pairs stories.tsv -o a.json
      codectok llm score trained --audio clips
      codectok llm score trained --continue clips --asr whisper --text-model lm
    """
    need("codectok llm score needs", "llm", "transformers", "tokenizers")
    from codectok.opening import check_device

    if not (pairs or audio or continue_):
        raise click.UsageError("nothing to score: give --pairs, --audio or --continue")
    if (continue_ is None) != (asr is None) or (asr is None) != (text_model is None):
        raise click.UsageError("--continue, --asr and --text-model go together")
    check_device(device)
    from codectok.files.atomic import atomic_path
    from codectok.llm.heads.stream_folder import need_one_stream
    from codectok.llm.model.extend_report import extended_with
    from codectok.llm.model.folder import open_model, open_text_tokenizer, quiet
    from codectok.llm.scores.likelihood import SpeechLM
    from codectok.llm.scores.pairs import read_pairs
    from codectok.llm.scores.report import Scores
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.metrics.judge import WhisperJudge
    from codectok.shipped import made_by
    from codectok.tokenizer import load

    quiet()
    need_one_stream(model, "codectok llm score")
    tables = [(path.stem, read_pairs(path)) for path in pairs]
    clips = [expand([str(given)], AUDIO_SUFFIXES) if given else [] for given in (audio, continue_)]
    vocab = AudioVocab.load(model)
    tok = load(tokenizer or made_by(vocab.tokenizer_fingerprint, extended_with(model)))
    judge = WhisperJudge(asr, device=device) if asr else None
    text_judge = (open_model(text_model).to(device), open_text_tokenizer(text_model)) if text_model else None
    lm, scores = SpeechLM(open_model(model).to(device), open_text_tokenizer(model), vocab, tok), Scores()
    with progress(sum(len(table) for _, table in tables) + sum(map(len, clips)), "score") as bar:
        for name, table in tables:
            scores.pairs(name, lm, table, bar.advance)
        if clips[0]:
            scores.seconds(lm, clips[0], bar.advance)
        if judge is not None and text_judge is not None:
            draw = {"do_sample": temperature > 0, **({"temperature": temperature} if temperature > 0 else {})}
            scores.continuations(lm, clips[1], judge, text_judge, bar.advance, prompt_seconds=prompt_seconds,
                                 max_seconds=max_seconds, language=language, seed=seed, **draw)  # fmt: skip
    plain = {"model": model, "tokenizer": tok.name, "fingerprint": tok.fingerprint, **scores.to_dict()}
    if output is not None:
        with atomic_path(output) as path:
            path.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for item, reason in scores.failed:
        click.echo(f"failed: {item}: {reason}", err=True)
    if as_json:
        print_json(plain)
    elif scores.rows:
        print_table(str(model), scores.rows)
    finish(len(scores.rows), len(scores.failed))
