"""Floor 2, review: what the station shows to people and what it does with their answers; without any web server."""
