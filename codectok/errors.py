"""The errors that codectok raises on purpose: one line each, saying what to do."""


class CodectokError(ValueError):
    """Base of every deliberate codectok error."""


class AudioError(CodectokError):
    """Audio that cannot be used: empty, not finite, unreadable, or without a sample rate."""


class FormatError(CodectokError):
    """A token file, store or model folder that is truncated, damaged or not what it claims to be."""


class FingerprintError(CodectokError):
    """Tokens made by another tokenizer than the one asked to read them."""


class CodeRangeError(CodectokError):
    """A code outside its codebook, or a number of codebooks that the tokenizer does not have."""


class UnknownNameError(CodectokError):
    """A name that a kind of thing (metric, store format, ...) does not have."""


class UnknownTokenizerError(UnknownNameError):
    """A tokenizer name that is neither packaged, nor a prefix, nor a folder, nor reachable on a hub."""
