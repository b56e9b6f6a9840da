"""One module a dataset, each with `open(root, **options) -> Dataset` for the owner's files as downloaded."""
