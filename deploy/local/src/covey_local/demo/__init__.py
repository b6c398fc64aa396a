"""A season of renewals and the main job on a stack of its own, watched from outside: ``covey demo``."""
