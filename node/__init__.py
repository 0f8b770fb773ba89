"""The way of an image (`pipeline`), and what drives it: workers, the listener's process, the supervisor."""
