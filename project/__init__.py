"""Projects made from this template: what they take of it, and how they take later versions."""
