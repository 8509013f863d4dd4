"""Running the contract over one tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from codectok.errors import CodectokError
from codectok.testing.clauses.bad_input import bad_input
from codectok.testing.clauses.batch import batch_equals_single
from codectok.testing.clauses.determinism import deterministic
from codectok.testing.clauses.lengths import exact_lengths
from codectok.testing.clauses.long import long_equals_short
from codectok.testing.clauses.prefix import prefix
from codectok.testing.clauses.same import NotApplicable
from codectok.testing.clauses.stream import stream_equals_offline
from codectok.tokenizer import Tokenizer

CLAUSES: dict[str, Callable[[Tokenizer], None]] = {
    "batch": batch_equals_single,
    "stream": stream_equals_offline,
    "long": long_equals_short,
    "lengths": exact_lengths,
    "prefix": prefix,
    "determinism": deterministic,
    "bad input": bad_input,
}
"""Name and function of every clause, in the order of the contract."""


class ContractError(AssertionError):
    """A tokenizer breaks a clause; the message names each that it breaks, with the first thing found wrong.

    Examples:
        >>> from codectok.controls import PcmTokenizer
        >>> from codectok.testing import check_tokenizer
        >>> class TooLong(PcmTokenizer):
        ...     name = "too-long"
        ...
        ...     def num_frames(self, num_samples):
        ...         return num_samples + 1
        >>> check_tokenizer(TooLong(), show=lambda line: None)
        Traceback (most recent call last):
        codectok.testing.check.ContractError: too-long breaks lengths (1 samples gave 1 frames)
    """


@dataclass(frozen=True)
class ClauseOutcome:
    """How one clause came out.

    Attributes:
        verdict: ``holds``, ``n/a`` or ``fails``.
        reason: why it does not apply, or what is wrong; "" where it holds.

    Examples:
        >>> from codectok.testing import run_contract
        >>> run_contract(codectok.load("random"))["stream"]
        ClauseOutcome(verdict='holds', reason='')
    """

    verdict: Literal["holds", "n/a", "fails"]
    reason: str = ""


def run_clause(clause: str, tok: Tokenizer) -> ClauseOutcome:
    """One clause of :data:`CLAUSES` over one tokenizer; nothing is raised that the tokenizer is to blame for."""
    try:
        CLAUSES[clause](tok)
    except NotApplicable as reason:
        return ClauseOutcome("n/a", str(reason))
    except (AssertionError, CodectokError) as error:
        return ClauseOutcome("fails", str(error) or type(error).__name__)
    return ClauseOutcome("holds")


def run_contract(tok: Tokenizer) -> dict[str, ClauseOutcome]:
    """Every clause over one tokenizer; about a minute for a small model.

    Examples:
        >>> from codectok.testing import run_contract
        >>> [clause for clause, outcome in run_contract(codectok.load("random")).items() if outcome.verdict == "fails"]
        []
    """
    return {clause: run_clause(clause, tok) for clause in CLAUSES}


def check_tokenizer(tok: Tokenizer, show: Callable[[str], object] = print) -> dict[str, ClauseOutcome]:
    """Run the contract, print a line a clause, and raise if one is broken: for a test of your own tokenizer.

    Args:
        tok: any tokenizer; ``codectok.load`` opens one by name or folder.
        show: what is given the lines.

    Returns:
        The outcome of every clause.

    Raises:
        ContractError: at least one clause is broken.

    Examples:
        >>> from codectok.testing import check_tokenizer
        >>> outcomes = check_tokenizer(codectok.load("random"))
        random
          batch        holds
          stream       holds
          long         holds
          lengths      holds
          prefix       holds
          determinism  holds
          bad input    holds
    """
    outcomes = run_contract(tok)
    show(tok.name)
    for clause, outcome in outcomes.items():
        note = f": {outcome.reason}" if outcome.reason else ""
        show(f"  {clause:<12} {outcome.verdict}{note}")
    broken = [f"{clause} ({o.reason})" for clause, o in outcomes.items() if o.verdict == "fails"]
    if broken:
        raise ContractError(f"{tok.name} breaks {'; '.join(broken)}")
    return outcomes
