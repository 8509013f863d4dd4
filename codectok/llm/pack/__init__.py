"""From a token store to a dataset: items of a task, packed into rows on disk."""
