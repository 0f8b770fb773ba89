"""The commands, a module per group. The only room that knows all others."""
