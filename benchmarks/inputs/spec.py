"""How suites write an input: ``TOKENIZER[:features|:quantized][@SETTING]``, parsed once.

A setting chooses the codebooks: ``@1.5`` kbit/s, ``@k8`` codebooks, ``@300tok`` tokens per second, or ``@low``,
``@medium``, ``@high``, the classes of DASB (Mousavi et al. 2024); always the most codebooks that fit. TOKENIZER is
anything ``codectok.load`` takes, or one of the names in :data:`PLAIN` and :data:`CODERS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from codectok.errors import CodectokError
from codectok.tokenizer import Tokenizer
from codectok.tokens.rates import SLACK

from ..contract import NotComputed

View = Literal["tokens", "quantized", "features"]
PLAIN = ("logmel", "original")
CODERS = ("opus", "amr-wb", "codec2", "speex")
CLASSES: dict[str, tuple[float, float]] = {"low": (0.0, 1.5), "medium": (2.9, 6.0), "high": (20.0, 24.0)}
"""kbit/s, from and to. DASB's high class is 24 kbit/s; from 20 on counts, for not all codebooks divide it."""
SETTINGS = "@1.5 (kbit/s), @k8 (codebooks), @300tok (tokens per second), @low, @medium or @high"
_SETTING = re.compile(r"k[1-9]\d*|\d+(\.\d+)?(tok)?|low|medium|high")
FOLDER = re.compile(r"\{([\w-]+)\}")


@dataclass(frozen=True, slots=True)
class Spec:
    """One parsed specification.

    Attributes:
        text: as it was written.
        source: tokenizer, coder or plain name; folders put in.
        name: of the source in tables, without the place of a folder.
        view: tokens, what tokens say of the features, or the features.
        setting: what stood behind the "@", "" where there was none.
    """

    text: str
    source: str
    name: str
    view: View = "tokens"
    setting: str = ""


def parse_spec(text: str, folders: Mapping[str, str] | None = None) -> Spec:
    """Read a specification; ``{NAME}`` in it is replaced by ``folders[NAME]``, and tables show the name alone.

    Raises:
        NotComputed: a folder that was not given.
        CodectokError: anything else than the grammar of this module.
    """
    rest, at, setting = text.rpartition("@")
    if not at:
        rest, setting = text, ""
    elif not _SETTING.fullmatch(setting):
        raise CodectokError(f"input {text!r}: @{setting} is no setting: write {SETTINGS}")
    view: View = "tokens"
    if rest.endswith(":features"):
        rest, view = rest.removesuffix(":features"), "features"
    elif rest.endswith(":quantized"):
        rest, view = rest.removesuffix(":quantized"), "quantized"
    if not rest:
        raise CodectokError(f"input {text!r} names no tokenizer: write e.g. speech@1.5, speech:features, logmel")
    if view == "features" and setting:
        raise CodectokError(
            f"input {text!r}: features come before quantization and have no bitrate: leave @{setting} out"
        )
    if view != "tokens" and rest in (*PLAIN, *CODERS, "pcm"):
        raise CodectokError(f"input {text!r}: {rest} is not a tokenizer with features: write {rest}")
    if rest == "original" and setting:
        raise CodectokError(f"input {text!r}: the original has no setting: write original")
    if rest in CODERS and not re.fullmatch(r"\d+(\.\d+)?", setting):
        raise CodectokError(f"input {text!r}: give the kbit/s of {rest}, e.g. {rest}@6")
    if rest == "logmel" and setting not in ("", "50", "100"):
        raise CodectokError(f"input {text!r}: log-mel has 50 or 100 frames a second: write logmel@50 or logmel@100")
    for name in FOLDER.findall(rest):
        if not (folders or {}).get(name):
            raise NotComputed(f"{text} needs a folder: give --folder {name}=DIR")
    source = FOLDER.sub(lambda m: (folders or {})[m[1]], rest)
    shown = FOLDER.sub(lambda m: m[1], rest)
    if "/" in shown:
        prefix = "km:" if shown.startswith("km:") else ""
        shown = prefix + shown.rstrip("/").rpartition("/")[2]
    return Spec(text, source, shown, view, setting)


def choose_codebooks(facts: Tokenizer, spec: Spec) -> int:
    """Codebooks of a tokenizer that a setting means.

    Raises:
        NotComputed: the tokenizer has no bitrate in that class.
        CodeRangeError: not so many codebooks, or a bitrate or token rate below one codebook's.
    """
    setting, top = spec.setting, len(facts.codebook_sizes)
    if not setting:
        return top
    if setting in CLASSES:
        low, high = CLASSES[setting]
        k = sum(facts.bitrate(n) <= high * SLACK for n in range(1, top + 1))
        if not k or facts.bitrate(k) < low:
            found = f"{facts.bitrate(1):.3g} to {facts.bitrate():.3g} kbit/s"
            raise NotComputed(
                f"{spec.name} has no bitrate of class {setting} ({low:g} to {high:g} kbit/s), but {found}"
            )
        return k
    if setting.startswith("k"):
        return facts.choose_codebooks(int(setting[1:]), None)
    if setting.endswith("tok"):
        rate, wanted = float(facts.frame_rate), float(setting[:-3])
        if wanted < rate:
            raise CodectokError(f"input {spec.text!r}: {spec.name} makes at least {rate:g} tokens per second")
        return min(top, int(wanted * SLACK / rate))
    return facts.choose_codebooks(None, float(setting))
