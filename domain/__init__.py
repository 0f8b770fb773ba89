"""The nouns: types, errors, codes, terms and identity. Standard library and numpy only; every room knows this one."""
