"""One utterance as every command sees it: an item and its labels, read from a folder or any of the usual manifests."""
