"""The seven clauses, one a file; each raises AssertionError where a tokenizer breaks it."""
