"""Stand-ins for recipes: their names are all that the pages need."""
daily = monthly = None
