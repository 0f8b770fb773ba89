"""How the shipped triage is made: region, view, orientation and quality from the pixels alone."""
