"""Projects made from this template: how to start a project, and how to merge later versions of the template into it."""
