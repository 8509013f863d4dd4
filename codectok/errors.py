"""The errors that codectok raises on purpose: one line each, saying what to do, with fields for programs.

Fields are given by keyword, are None where they are not known, and survive pickling: errors cross process borders.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, Self

PathLike = str | os.PathLike[str]


class CodectokError(ValueError):
    """Base of every deliberate codectok error.

    Examples:
        >>> try:
        ...     codectok.load("nobody")
        ... except codectok.CodectokError as error:
        ...     print(error)
        no tokenizer 'nobody': there are speech, ... (or give a model folder, or a hub id)
    """

    def within(self, place: str) -> Self:
        """The same error with the same fields, its message begun by a place: ``"line 3 of x.jsonl: ..."``."""
        other = copy.copy(self)
        other.args = (f"{place}: {self}",)
        return other


class AudioError(CodectokError):
    """Audio that cannot be used: empty, not finite, unreadable, or without a sample rate.

    Attributes:
        path: str, the file or folder it is about; None of samples in memory.

    Examples:
        >>> codectok.load("pcm").encode([], 16000)
        Traceback (most recent call last):
        codectok.errors.AudioError: the audio is empty: give at least one sample
    """

    def __init__(self, *message: object, path: PathLike | None = None) -> None:
        super().__init__(*message)
        self.path = _text(path)


class UnreadFormatError(AudioError):
    """A file of a kind that is not read: recordings that must be converted, or shards beside recordings."""


class FormatError(CodectokError):
    """A token file, store, model folder or settings that are truncated, damaged or not what they claim to be.

    Attributes:
        path: str, the file or folder.
        key: of a setting or field, dotted where it stands within others.
        given: the value that is refused.
        allowed: in words, the values that are not.

    Examples:
        >>> codectok.Tokens.load("a.wav")
        Traceback (most recent call last):
        codectok.errors.FormatError: a.wav is not a .ctk file: give one that codectok wrote
    """

    def __init__(
        self,
        *message: object,
        path: PathLike | None = None,
        key: str | None = None,
        given: Any = None,
        allowed: str | None = None,
    ) -> None:
        super().__init__(*message)
        self.path, self.key, self.given, self.allowed = _text(path), key, given, allowed


class FingerprintError(CodectokError):
    """Tokens made by another tokenizer than the one asked to read them.

    Attributes:
        wanted: fingerprint of the tokenizer (or vocabulary, BPE, encoder) that reads.
        found: fingerprint that the tokens have.

    Examples:
        >>> tokens = codectok.load("random").encode("a.wav")
        >>> codectok.load("pcm").decode(tokens)
        Traceback (most recent call last):
        codectok.errors.FingerprintError: these tokens were made by tokenizer ..., not by pcm (...): load the
        tokenizer that made them (--tokenizer on the command line)
    """

    def __init__(self, *message: object, wanted: str | None = None, found: str | None = None) -> None:
        super().__init__(*message)
        self.wanted, self.found = wanted, found


class CodeRangeError(CodectokError):
    """A code outside its codebook, or a number of codebooks that the tokenizer does not have.

    Attributes:
        code: the code.
        size: codes of its codebook, so that 0 to size - 1 are allowed.
        codebook: which one, from 0.

    Examples:
        >>> codectok.load("pcm").encode("a.wav", num_codebooks=2)
        Traceback (most recent call last):
        codectok.errors.CodeRangeError: pcm has 1 codebooks, 2 asked for
    """

    def __init__(
        self, *message: object, code: int | None = None, size: int | None = None, codebook: int | None = None
    ) -> None:
        super().__init__(*message)
        self.code, self.size, self.codebook = code, size, codebook


class UnknownNameError(CodectokError, KeyError):
    """A name that a kind of thing (metric, store format, ...) does not have; a KeyError, for what is a mapping.

    Attributes:
        name: that was asked for.
        kind: as :mod:`codectok.registry` calls it, such as ``"store_formats"``; ``"items"`` of a store.
        known: list of the names that there are; None where they are many.

    Examples:
        >>> codectok.load("speach")
        Traceback (most recent call last):
        codectok.errors.UnknownTokenizerError: no tokenizer 'speach': did you mean speech?
        (or give a model folder, or a hub id)
    """

    __str__ = Exception.__str__  # a KeyError would show its message in quotes

    def __init__(
        self, *message: object, name: str | None = None, kind: str | None = None, known: Sequence[str] | None = None
    ) -> None:
        super().__init__(*message)
        self.name, self.kind, self.known = name, kind, None if known is None else list(known)


class UnknownTokenizerError(UnknownNameError):
    """A tokenizer name that is neither packaged, nor a prefix, nor a folder, nor reachable on a hub.

    Examples:
        >>> codectok.load("speach")
        Traceback (most recent call last):
        codectok.errors.UnknownTokenizerError: no tokenizer 'speach': did you mean speech?
        (or give a model folder, or a hub id)
    """


class MissingPackageError(CodectokError, ImportError):
    """A package that is not installed, which only some abilities need.

    Attributes:
        package: what cannot be imported.
        extra: of codectok, which brings it; None where none does.
    """

    def __init__(self, *message: object, package: str | None = None, extra: str | None = None) -> None:
        super().__init__(*message)
        self.package, self.extra, self.name = package, extra, package


class AudioWarning(UserWarning):
    """An audio file that is damaged, or whose header is wrong of its length; all that is there was read."""


def _text(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)
