"""Alembic's folder: `versions` hold what each version of the product changed in the tables."""
