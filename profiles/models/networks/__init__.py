"""Reference networks in plain torch, written from their papers."""
