"""The shipped model packages: a folder each with weights, manifest, card and sample (`inference.package`)."""
