"""What a person looks at, and what wakes them."""
