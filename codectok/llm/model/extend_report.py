"""What extending a model did to it: lengths of rows, distances between new ones, probabilities on text."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codectok.files.atomic import atomic_path

FILE = "extend_report.json"
SAMPLE_TEXT = (
    "The harbour was quiet when the boats came in. A woman in a red coat asked the fishermen what they had caught, and "
    "one of them laughed: two buckets of mackerel, a broken net, and 12 hours of rain. She bought the fish anyway."
)
"""Measured on, unless another text is given."""
MAX_TOKENS = 128
NEIGHBOURS = 1024
"""New rows whose nearest neighbour is looked for, where there are more than ``EXACT``."""
EXACT = 4096


@dataclass(frozen=True)
class TextFigures:
    """Predictions on a text, in nats a token; means over its positions.

    Attributes:
        tokens: positions measured.
        new_mass_before: probability of the new ids before, which is not 0 where they fall on padding rows;
        new_mass: and after,
        new_mass_max: and at the worst position.
        mean_bound: n / (N + n), what rows equal to the mean of a uniform model would take.
        kl: of the old distribution to the new one, over the other ids: what text loses.
        kl_renormalised: the same with the new ids left out: 0 where text is untouched.
        perplexity_before: of the text, the new ids left out before;
        perplexity: and after, with them.
        same_argmax: share of positions whose most probable old id is the same.
    """

    tokens: int
    new_mass_before: float
    new_mass: float
    new_mass_max: float
    mean_bound: float
    kl: float
    kl_renormalised: float
    perplexity_before: float
    perplexity: float
    same_argmax: float


@dataclass(frozen=True)
class ExtendReport:
    """See :func:`.extend.extend_model`; ``tables`` has a line for text and for new rows of each table.

    ``tokenizer`` is the name of the audio tokenizer, as it was loaded; ``units``, how its frames are merged.
    """

    tied: bool
    init: str
    tokens: int
    rows_before: int
    rows: int
    rows_reused: int
    rows_padding: int
    dtype: str
    tables: list[dict[str, Any]]
    text: TextFigures | None
    tokenizer: str | None = None
    units: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    def save(self, folder: Path) -> None:
        """Write ``extend_report.json``."""
        with atomic_path(folder / FILE) as path:
            path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")


class TextProbe:
    """Measures a model on a text before and after it was extended. Changes nothing in it.

    Args:
        model: before.
        tokenizer: before.
        text: at least two tokens of it are needed; else ``compare`` gives None.
        fresh: int64 [n], the ids that will be new.
        device: where the model is taken to be measured, and back from.
    """

    def __init__(self, model: Any, tokenizer: Any, text: str, fresh: Tensor, device: str = "cpu") -> None:
        self.device = device
        self.ids = torch.tensor(tokenizer(text)["input_ids"][:MAX_TOKENS], dtype=torch.int64)
        self.fresh = fresh
        usable = len(self.ids) > 1 and int(self.ids.max()) < len(model.get_input_embeddings().weight)
        self.before = self._log_probs(model) if usable else None

    def _log_probs(self, model: Any) -> Tensor:
        """Float32 [N - 1, V], of what follows each position."""
        home = model.device
        model.to(self.device)
        with torch.inference_mode():
            logits = model(self.ids[None].to(self.device), use_cache=False).logits[0, :-1]
        model.to(home)
        return logits.float().log_softmax(-1).cpu()

    def compare(self, model: Any) -> TextFigures | None:
        """The figures, with the model after."""
        if self.before is None:
            return None
        after, rows = self._log_probs(model), self.before.shape[1]
        old = torch.ones(rows, dtype=torch.bool)
        old[self.fresh[self.fresh < rows]] = False
        mass_before = self.before[:, ~old].exp().sum(1)
        p = self.before[:, old].log_softmax(1)
        mass = after[:, self.fresh].exp().sum(1)
        q, q_only = after[:, :rows][:, old], after[:, :rows][:, old].log_softmax(1)
        target, where = self.ids[1:], torch.cumsum(old, 0) - 1
        said = -p.gather(1, where[target][:, None]).mean(), -after.gather(1, target[:, None]).mean()
        n, kept = len(self.fresh), int(old.sum())
        return TextFigures(
            tokens=len(target),
            new_mass_before=float(mass_before.mean()),
            new_mass=float(mass.mean()),
            new_mass_max=float(mass.max()),
            mean_bound=n / (kept + n),
            kl=_kl(p, q),
            kl_renormalised=_kl(p, q_only),
            perplexity_before=math.exp(said[0]),
            perplexity=math.exp(said[1]),
            same_argmax=float((p.argmax(1) == q.argmax(1)).double().mean()),
        )


def _kl(p: Tensor, q: Tensor) -> float:
    return float((p.exp() * (p - q)).nan_to_num(0.0).sum(1).mean())


def table_report(name: str, table: Tensor, text: Tensor, fresh: Tensor) -> list[dict[str, Any]]:
    """Figures of a table as it is stored, of its rows of text and its new rows.

    ``closest`` is the smallest distance between two of the rows (among many: from some of them to all), ``equal`` how
    many have the bits of another: those can only come apart again by training.
    """
    found = []
    for kind, ids in (("text", text), ("new", fresh)):
        rows = table.detach()[ids.to(table.device)].cpu()
        lengths = torch.cat([part.float().norm(dim=1) for part in rows.split(EXACT)] or [torch.zeros(0)])
        mean, low, high = (lengths.mean(), lengths.min(), lengths.max()) if len(ids) else (math.nan,) * 3
        line = {"table": name, "rows": kind, "count": len(ids), "norm": float(mean)}
        line |= {"norm_min": float(low), "norm_max": float(high)}
        line |= {"closest": closest(rows), "equal": equal(rows)} if kind == "new" else {"closest": None, "equal": None}
        found.append(line)
    return found


def equal(rows: Tensor) -> int:
    """Rows [N, D] that have the very bits of an earlier one."""
    whole = rows.contiguous().view(torch.uint8).numpy()
    return len(rows) - len({row.tobytes() for row in whole})


def closest(rows: Tensor) -> float | None:
    """Smallest distance between two of the rows [N, D]; from a random ``NEIGHBOURS`` of them where N is large."""
    if len(rows) < 2:
        return None
    chosen = torch.arange(len(rows))
    if len(rows) > EXACT:
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:NEIGHBOURS]
    # Nearest by |x|^2 / 2 - x.y on centred rows, then the distance itself: rows that are close lose digits in products.
    middle = rows[: len(chosen)].float().mean(0)
    best, near = torch.full((len(chosen),), math.inf), torch.zeros(len(chosen), dtype=torch.int64)
    queries = rows[chosen].float() - middle
    for start in range(0, len(rows), EXACT):
        block = rows[start : start + EXACT].float() - middle
        score = 0.5 * block.square().sum(1) - queries @ block.T
        own = (chosen >= start) & (chosen < start + len(block))
        score[own, chosen[own] - start] = math.inf
        value, index = score.min(1)
        near, best = torch.where(value < best, index + start, near), torch.minimum(value, best)
    return float((rows[chosen].float() - rows[near].float()).norm(dim=1).min())


def extended_with(folder: str | os.PathLike[str]) -> str | None:
    """Name of the audio tokenizer that a model was extended with, or None where the folder does not say."""
    try:
        plain = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    name = plain.get("tokenizer") if isinstance(plain, dict) else None
    return name if isinstance(name, str) else None
