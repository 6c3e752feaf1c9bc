"""Small programs of the kind that strangers bring, and what is true of them."""
