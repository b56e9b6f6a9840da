"""One module a dataset, each with `open(root, **options) -> Dataset` for the original files as downloaded.

What the modules say is raised, `medpt.data.open_dataset` raises. A reader puts it into `problems` beside the
records that are sound, so that `medpt.data.check` can continue, and raises only where it has none.
"""
