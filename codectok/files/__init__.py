"""What touches files and folders of any kind: whole or not at all, model folders, locks, the style of pages."""
