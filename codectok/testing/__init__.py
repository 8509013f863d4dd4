"""The contract that every tokenizer keeps, for anybody's: :func:`check_tokenizer` runs it and prints the matrix."""

from codectok.testing.check import CLAUSES, ClauseOutcome, ContractError, check_tokenizer, run_contract
from codectok.testing.clauses.same import NotApplicable
from codectok.testing.voice import voice

__all__ = ["CLAUSES", "ClauseOutcome", "ContractError", "NotApplicable", "check_tokenizer", "run_contract", "voice"]
