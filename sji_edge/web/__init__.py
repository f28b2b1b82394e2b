"""Floor 4, web: the pages of the review station, and everything that keeps strangers out of them."""
