"""Text for people: the only place where figures become columns, lines and words."""
