"""From a corpus to a token store: manifests, batches, the local engine."""
