"""What of the audio a language model reads: continuous features, quantized features, or ids.

The quantized arm lies between the other two. It sends the vectors of the codes through the same projector as the
features, so it has lost what quantization loses, and nothing has to be learned anew: no rows of an embedding. Against
``continuous`` it shows the one, against ``discrete`` the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from codectok.audio.clip import AudioOrPath
from codectok.errors import CodectokError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens

KINDS = ("continuous", "quantized", "discrete")


@dataclass(frozen=True)
class AudioSource:
    """One arm of the comparison; all arms of one tokenizer have the same frames, one for one.

    Attributes:
        tokenizer: that makes all three.
        kind: "continuous": ``Tokenizer.features``; "quantized": the vectors of its codes, of the same width;
            "discrete": ids of a vocabulary.
        num_codebooks: codebooks used; None for all. The continuous features know none.
        vocab: of the ids, for "discrete"; it must have these codebooks.

    Raises:
        CodectokError: an unknown kind, or a vocabulary missing or of other codebooks.
    """

    tokenizer: Tokenizer
    kind: str
    num_codebooks: int | None = None
    vocab: AudioVocab | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CodectokError(f"source {self.kind!r} is unknown: {', '.join(KINDS)}")
        if self.kind == "continuous":  # an encoder has features and no codebooks
            return
        count = self.tokenizer.choose_codebooks(self.num_codebooks, None)
        if self.kind != "discrete":
            return
        if self.vocab is None:
            raise CodectokError("discrete audio needs the vocabulary of its ids: give vocab, an AudioVocab")
        if self.vocab.codebook_sizes != self.tokenizer.codebook_sizes[:count]:
            raise CodectokError(
                f"the vocabulary is of codebooks {list(self.vocab.codebook_sizes)}, {self.tokenizer.name} gives "
                f"{list(self.tokenizer.codebook_sizes[:count])}: choose num_codebooks to fit"
            )

    @property
    def dim(self) -> int:
        """D of the features: ``in_dim`` of the projector, the same for both arms that have one.

        Raises:
            CodectokError: the ids of "discrete" have no width.
        """
        if self.kind == "discrete":
            raise CodectokError("discrete audio has ids, no width: it needs no projector")
        return self.tokenizer.feature_dim

    def num_frames(self, num_samples: int) -> int:
        """T of that many samples at the tokenizer's rate, the same for all kinds."""
        return self.tokenizer.num_frames(num_samples)

    def __call__(self, audio: AudioOrPath, rate: int | None = None) -> Tensor:
        """Audio -> float32 [T, D], or ids int64 [K, T] of "discrete".

        Raises:
            AudioError: audio that the tokenizer cannot use.
            CodectokError: a tokenizer whose codes stand for no vectors.
        """
        if self.kind == "continuous":
            return self.tokenizer.features(audio, rate)
        return self.of_tokens(self.tokenizer.encode(audio, rate, num_codebooks=self.num_codebooks))

    def of_tokens(self, tokens: Tokens) -> Tensor:
        """The same from stored tokens; all but "continuous", which no tokens hold.

        Raises:
            CodectokError: "continuous", or fewer codebooks than this source uses.
            FingerprintError: tokens of another tokenizer.
        """
        count = self.tokenizer.choose_codebooks(self.num_codebooks, None)
        if self.kind == "continuous":
            raise CodectokError("continuous features are of the audio, not of its tokens: give the audio")
        tokens = self.tokenizer.check(tokens).expand()
        if tokens.num_codebooks < count:
            raise CodectokError(f"these tokens have {tokens.num_codebooks} codebooks, this source uses {count}")
        codes = tokens.codes[:count]
        if self.kind == "quantized":
            return self.tokenizer.quantized_features(self.tokenizer.tokens(codes, tokens.num_samples))
        assert self.vocab is not None
        return self.vocab.ids(codes)
