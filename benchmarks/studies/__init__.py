"""Investigations beside the harness: each module measures one thing for the documents."""
