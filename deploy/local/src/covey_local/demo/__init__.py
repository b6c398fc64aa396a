"""A season of renewals on a stack of its own, watched from outside: ``covey demo``."""
