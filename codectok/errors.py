"""The errors that codectok raises on purpose: one line each, saying what to do."""


class CodectokError(ValueError):
    """Base of every deliberate codectok error.

    Examples:
        >>> try:
        ...     codectok.load("nobody")
        ... except codectok.CodectokError as error:
        ...     print(error)
        no tokenizer 'nobody': there are speech, ... (or give a model folder, or a hub id)
    """


class AudioError(CodectokError):
    """Audio that cannot be used: empty, not finite, unreadable, or without a sample rate.

    Examples:
        >>> codectok.load("pcm").encode([], 16000)
        Traceback (most recent call last):
        codectok.errors.AudioError: the audio is empty: give at least one sample
    """


class FormatError(CodectokError):
    """A token file, store or model folder that is truncated, damaged or not what it claims to be.

    Examples:
        >>> codectok.Tokens.load("a.wav")
        Traceback (most recent call last):
        codectok.errors.FormatError: a.wav is not a .ctk file: give one that codectok wrote
    """


class FingerprintError(CodectokError):
    """Tokens made by another tokenizer than the one asked to read them.

    Examples:
        >>> tokens = codectok.load("random").encode("a.wav")
        >>> codectok.load("pcm").decode(tokens)
        Traceback (most recent call last):
        codectok.errors.FingerprintError: these tokens were made by tokenizer ..., not by pcm (...): load the
        tokenizer that made them (--tokenizer on the command line)
    """


class CodeRangeError(CodectokError):
    """A code outside its codebook, or a number of codebooks that the tokenizer does not have.

    Examples:
        >>> codectok.load("pcm").encode("a.wav", num_codebooks=2)
        Traceback (most recent call last):
        codectok.errors.CodeRangeError: pcm has 1 codebooks, 2 asked for
    """


class UnknownNameError(CodectokError):
    """A name that a kind of thing (metric, store format, ...) does not have."""


class UnknownTokenizerError(UnknownNameError):
    """A tokenizer name that is neither packaged, nor a prefix, nor a folder, nor reachable on a hub.

    Examples:
        >>> codectok.load("speach")
        Traceback (most recent call last):
        codectok.errors.UnknownTokenizerError: no tokenizer 'speach': did you mean speech?
        (or give a model folder, or a hub id)
    """
