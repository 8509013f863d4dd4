"""All scores of a model as rows of one table, each with its interval and with what failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError
from codectok.llm.scores.continuations import TextScore, continue_speech, score_text
from codectok.llm.scores.likelihood import SpeechLM
from codectok.llm.scores.pairs import PairScore, SpokenPair, score_pair
from codectok.llm.scores.seconds import SecondsScore, score_seconds
from codectok.metrics.bootstrap import bootstrap_mean
from codectok.metrics.judge import WhisperJudge

Failed = list[tuple[str, str]]
Advance = Callable[[], None]


@dataclass
class Scores:
    """Rows of the table, what they were made of, and the items that failed.

    Attributes:
        rows: measure, value, interval, items.
        failed: item and reason.
        more: figures beside the table, by name.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: Failed = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def add(
        self, measure: str, value: float | None, items: int, interval: Sequence[float | None] = (None, None)
    ) -> None:
        """One row."""
        self.rows.append({"measure": measure, "value": value, "low": interval[0], "high": interval[1], "items": items})

    def pairs(self, name: str, lm: SpeechLM, pairs: Sequence[SpokenPair], advance: Advance) -> None:
        """Accuracy over pairs: of the mean token, of the whole, and by group."""
        done: list[tuple[SpokenPair, PairScore]] = []
        for pair in pairs:
            if (score := self._tried(pair.id, score_pair, lm, pair)) is not None:
                done.append((pair, score))
            advance()
        groups = sorted({pair.group for pair, _ in done} - {""})
        for group in ("", *groups):
            of = [score for pair, score in done if group in ("", pair.group)]
            title = f"{name} {group}".strip()
            self._mean(f"{title}: accuracy, mean token", [score.mean for score in of])
            self._mean(f"{title}: accuracy, whole", [score.total for score in of])

    def seconds(self, lm: SpeechLM, clips: Sequence[Path], advance: Advance) -> None:
        """Perplexity by seconds."""
        total = SecondsScore()
        each = []
        for clip in clips:
            score = self._tried(str(clip), lambda path: score_seconds(lm, lm.encode(path)), clip)
            if score is not None:
                total += score
                each.append(score.bits_per_second)
            advance()
        if each:
            interval = bootstrap_mean(each)
            self.add("bits a second", total.bits_per_second, len(each), (interval.low, interval.high))
            self.add("tokens a second", total.tokens / total.seconds, len(each))
            self.add("perplexity of a token", total.perplexity, len(each))
            self.more["nats_by_second"] = [n / s for n, s in zip(total.by_second, total.heard, strict=True) if s]

    def continuations(
        self,
        lm: SpeechLM,
        clips: Sequence[Path],
        judge: WhisperJudge,
        text_model: tuple[Any, Any],
        advance: Advance,
        *,
        prompt_seconds: float,
        max_seconds: float,
        language: str,
        **options: Any,
    ) -> None:
        """Perplexity of what is said after the beginning of each clip, under a text model (its model, tokenizer)."""
        total, texts = TextScore(), {}
        for clip in clips:

            def said(path: Path) -> str:
                tokens = lm.encode(path)
                prompt = tokens[: max(1, round(prompt_seconds * tokens.frame_rate))]
                samples = continue_speech(lm, prompt, max_seconds, **options)
                return judge.transcribe([samples], lm.tok.sample_rate, [language])[0]

            text = self._tried(str(clip), said, clip)
            if text is not None:
                texts[str(clip)] = text
                total += score_text(*text_model, text)
            advance()
        if texts:
            self.add("continuation: perplexity of a text token", total.perplexity, len(texts))
            self.add("continuation: text tokens", total.tokens, len(texts))
            self.add("continuation: auto-BLEU of word pairs", total.auto_bleu_2, len(texts))
            self.more["continuations"] = texts

    def to_dict(self) -> dict[str, Any]:
        """As it is written."""
        failed = [{"item": item, "reason": reason} for item, reason in self.failed]
        return {"scores": self.rows, **self.more, "failed": failed}

    def _mean(self, measure: str, values: Sequence[float]) -> None:
        if values:
            found = bootstrap_mean(values)
            self.add(measure, found.mean, found.n, (found.low, found.high))

    def _tried(self, item: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (CodectokError, OSError) as error:
            self.failed.append((item, " ".join(str(error).split())))
            return None
