"""The stories that `catena demo` plays, and how they are told."""
