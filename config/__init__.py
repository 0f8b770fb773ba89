"""Settings: one TOML file, read once into frozen, validated objects that are passed to whoever needs them."""
