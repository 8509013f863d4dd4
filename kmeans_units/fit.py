"""Fitting a unit tokenizer: a recipe in, a model folder out."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codectok.cli.progress import progress
from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from codectok.files.folder_lock import FolderLock
from codectok.fingerprint import fingerprint
from codectok.log import logger
from codectok.stops import keeping
from kmeans_units.kmeans import rounds
from kmeans_units.kmeans_state import forget, level_state
from kmeans_units.recipe import FitRecipe

if TYPE_CHECKING:
    from codectok.items.corpus import Corpus
    from codectok.tokens import Tokens
    from codectok.units import SpeechEncoder
    from codectok.units.kmeans.tokenizer import UnitTokenizer
    from codectok.units.kmeans.unit_stream import UnitStream

LOG = logger(__name__)

Count = Callable[[int, int], None]
WHERE_AND_HOW = ("data", "device", "cache", "dump", "encoder", "bpe_vocab_sizes", "centroids")
"""Keys of a recipe that do not make it another fit as they are written."""


def fit_units(
    recipe: FitRecipe, out: Path, *, trust_pickle: bool = False, overwrite: bool = False
) -> tuple[UnitTokenizer, dict[str, Any], bool]:
    """Fit what a recipe says, or import its ``centroids``, and write the model folder ``out``.

    Beside the model there is ``fit.json``: what was fitted on what, and the figures. A folder that holds this very fit
    already is left as it is, but for a BPE that it lacks; with ``overwrite`` it is fitted again.

    Returns:
        The tokenizer, the contents of ``fit.json``, and whether anything was written.

    Raises:
        CodectokError: ``out`` holds another model and ``overwrite`` is not set, nothing to fit on, wrong settings.
        FormatError: files to import that cannot be.
    """
    _check_out(out, overwrite)
    with FolderLock(out), keeping(_kept(recipe)):
        return _fit_or_import(recipe, out, trust_pickle, overwrite)


def _kept(recipe: FitRecipe) -> str:
    """What a stop leaves."""
    if recipe.cache:
        what = "frames sampled up to two minutes ago, and the last round of k-means,"
        return f"{what} are in {recipe.cache}: the same command goes on from there"
    return "nothing is half-written; the same command begins again, or goes on from a sample with cache=FOLDER"


def _fit_or_import(
    recipe: FitRecipe, out: Path, trust_pickle: bool, overwrite: bool
) -> tuple[UnitTokenizer, dict[str, Any], bool]:
    from codectok.items.corpus import read_corpus
    from codectok.units import load_encoder
    from codectok.units.kmeans.tokenizer import UnitTokenizer

    corpus = read_corpus(recipe.data) if recipe.data else None
    encoder = load_encoder(recipe.encoder, recipe.layer, recipe.device, **recipe.encoder_options())
    key = _key(recipe, encoder, corpus)
    report = None if overwrite else _finished(out, key)
    wrote = report is None
    if report is not None:
        LOG.info("%s holds this fit already: nothing is fitted again", out)
        _check_extras(recipe, out, report)
        from codectok.tokenizer import load

        tokenizer = cast(UnitTokenizer, load(str(out)))
    elif (out / "config.json").is_file() and not overwrite:
        raise CodectokError(f"{out} holds another model: give another -o, or replace it with --overwrite")
    else:
        started = time.perf_counter()
        if recipe.centroids:
            streams, report = _imported(recipe, encoder, trust_pickle)
        else:
            streams, report = _fit(recipe, encoder, corpus, key)
        report |= {"key": key, "recipe": asdict(recipe), "seconds_taken": round(time.perf_counter() - started, 1)}
        tokenizer = UnitTokenizer(encoder, streams, out.name, recipe.device)
        _clear(out)
        with atomic_path(out / "fit.json") as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
        tokenizer.save_pretrained(out)
        forget(Path(recipe.cache) if recipe.cache else None, key)
    if recipe.bpe_vocab_sizes and not (out / "bpe.json").is_file():
        if corpus is None:
            raise CodectokError("bpe_vocab_sizes needs data=CORPUS to train the BPE on")
        _train_bpe(recipe, tokenizer, corpus, out)
        wrote = True
    return tokenizer, report, wrote


def _fit(
    recipe: FitRecipe, encoder: SpeechEncoder, corpus: Corpus | None, key: str
) -> tuple[list[UnitStream], dict[str, Any]]:
    from kmeans_units.dump import Dump
    from kmeans_units.sampling import sample_frames
    from kmeans_units.streams import fit_stream

    assert corpus is not None  # a recipe without centroids has data
    options = recipe.kmeans_options()
    dump = Dump(Path(recipe.dump), encoder.layers, corpus.root) if recipe.dump else None
    cache = Path(recipe.cache) if recipe.cache else None
    with _counting("encoding", recipe, corpus) as count:
        sample = sample_frames(corpus, encoder, recipe.sample_options(), cache=cache, dump=dump, progress=count)
    streams, figures = [], []
    with progress(rounds(options) * len(recipe.k) * len(encoder.layers) or None, "k-means") as bar:
        for i, layer in enumerate(encoder.layers):
            bar.note(f"layer {layer}")
            stream, found = fit_stream(
                i,
                sample.fit[i],
                sample.valid[i],
                recipe.k,
                standardize=recipe.standardize,
                seed=recipe.seed,
                options=options,
                progress=bar.advance,
                state_of=partial(level_state, cache, key, layer),
            )
            streams.append(stream)
            figures.append({"layer": layer, **found})
    counts = asdict(sample.counts)
    counts["hours"] = counts.pop("seconds") / 3600
    frames = {"fit_frames": len(sample.fit[0]), "valid_sampled": len(sample.valid[0])}
    return streams, {"streams": figures, **counts, **frames, "data_sha256": sample.data_hash}


def _imported(recipe: FitRecipe, encoder: SpeechEncoder, trust_pickle: bool) -> tuple[list[UnitStream], dict[str, Any]]:
    import torch

    from codectok.units.kmeans.unit_stream import UnitStream
    from kmeans_units.imports import read_centroids

    levels, over = divmod(len(recipe.centroids), len(encoder.layers))
    if over or not levels:
        raise CodectokError(
            f"{len(recipe.centroids)} files of centroids for {len(encoder.layers)} layers: give as many for each layer"
        )
    found = [read_centroids(file, trust_pickle=trust_pickle) for file in recipe.centroids]
    for file, centroids in zip(recipe.centroids, found, strict=True):
        if centroids.shape[1] != encoder.layer_dim:
            raise CodectokError(
                f"{file} has centroids of width {centroids.shape[1]}, but the features of {recipe.encoder} have "
                f"{encoder.layer_dim}: give the encoder and layer that they were fitted on"
            )
    tensors = [torch.from_numpy(c) for c in found]
    streams = [UnitStream(i, tensors[i * levels : (i + 1) * levels]) for i in range(len(encoder.layers))]
    figures = [
        {"layer": layer, "levels": [{"k": k} for k in stream.sizes]}
        for stream, layer in zip(streams, encoder.layers, strict=True)
    ]
    return streams, {"streams": figures, "imported": [Path(file).name for file in recipe.centroids]}


def _train_bpe(recipe: FitRecipe, tokenizer: UnitTokenizer, corpus: Corpus, out: Path) -> None:
    from kmeans_units.bpe import train_bpe

    with _counting("BPE", recipe, corpus) as count:
        tokens = _fit_tokens(recipe, tokenizer, corpus, count)
        trained = train_bpe(tokens, max(recipe.bpe_vocab_sizes), trained_on=_bpe_facts(recipe))
    trained.save(out)


def _bpe_facts(recipe: FitRecipe) -> dict[str, Any]:
    return {"data": Path(recipe.data).name, "vocab_sizes": sorted(set(recipe.bpe_vocab_sizes))}


def _fit_tokens(recipe: FitRecipe, tokenizer: UnitTokenizer, corpus: Corpus, count: Count) -> Iterator[Tokens]:
    """Tokens of the clips that were fitted on, not of those held out."""
    from kmeans_units.clips import Picks, batches, read_ahead

    picks = Picks.draw((item.id for item in corpus), corpus.scan().num_items, recipe.sample_options())
    done = 0
    for batch in batches(read_ahead(enumerate(corpus), picks, tokenizer.sample_rate)):
        clips = [c.samples for c in batch if c.samples is not None and not picks.held_out(c.item.id)]
        if clips:
            yield from tokenizer.encode_batch(clips, tokenizer.sample_rate)
        done += len(batch)
        count(done, picks.total)


@contextlib.contextmanager
def _counting(label: str, recipe: FitRecipe, corpus: Corpus) -> Iterator[Count]:
    """A progress bar that is told (clips done, clips in all)."""
    items = corpus.scan().num_items
    with progress(min(recipe.clips or items, items), label) as bar:
        shown = 0

        def count(done: int, total: int) -> None:
            nonlocal shown
            bar.advance(done - shown)
            shown = done

        yield count


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise CodectokError(f"-o {out} is a file: give a folder")
    if (out / "config.json").is_file():
        from codectok.files.model_folder import read_config
        from codectok.units.kmeans.folder import TOKENIZER_TYPE

        if read_config(out).get("tokenizer_type") != TOKENIZER_TYPE:
            raise CodectokError(f"{out} holds a model that is no unit tokenizer: give another -o")


def _check_extras(recipe: FitRecipe, out: Path, report: dict[str, Any]) -> None:
    """Refuse a recipe that asks of a finished fit for a BPE or a dump other than those that were made."""
    if recipe.bpe_vocab_sizes and (out / "bpe.json").is_file():
        from codectok.transforms.unit_bpe import UnitBPE

        facts, wanted = UnitBPE.load(out).trained_on, _bpe_facts(recipe)
        if {name: facts.get(name) for name in wanted} != wanted:
            raise CodectokError(
                f"{out} holds the same units with another BPE: give another -o, or replace both with --overwrite"
            )
    if recipe.dump and not recipe.centroids and recipe.dump != report["recipe"]["dump"]:
        raise CodectokError(f"{out} was fitted without dump={recipe.dump}: fit it again with --overwrite")


def _clear(out: Path) -> None:
    """Take away a unit tokenizer and what belongs to its units; ``config.json`` first, without which it is none."""
    for name in ("config.json", "bpe.json", "fit.json"):
        (out / name).unlink(missing_ok=True)
    if (out / "vocoder").is_dir():
        shutil.rmtree(out / "vocoder")


def _key(recipe: FitRecipe, encoder: SpeechEncoder, corpus: Corpus | None) -> str:
    """Of all that decides the model."""
    from kmeans_units.imports import contents_hash
    from kmeans_units.sampling import files_hash

    settings = {name: value for name, value in asdict(recipe).items() if name not in WHERE_AND_HOW}
    settings |= {"encoder": encoder.fingerprint, "centroids": [contents_hash(file) for file in recipe.centroids]}
    data = [corpus.scan().sha256, files_hash(corpus)] if corpus else []
    return fingerprint({**settings, "data": data})


def _finished(out: Path, key: str) -> dict[str, Any] | None:
    """The report of a folder that holds this fit, whole."""
    if not ((out / "config.json").is_file() and (out / "fit.json").is_file()):
        return None
    try:
        report = json.loads((out / "fit.json").read_text())
    except ValueError:
        return None
    return report if report.get("key") == key else None
