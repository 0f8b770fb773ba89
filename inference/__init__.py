"""Reading an image and letting the models that fit it speak: files in, `ImageAnswer` out. Knows no ledger, no settings."""
