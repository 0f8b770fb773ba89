"""The listener: associations, admission, presentation contexts, and C-STORE up to the moment when an image is durable."""
