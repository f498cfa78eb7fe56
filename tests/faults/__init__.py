"""Everything that can go wrong in AWS, at every call, and what must hold nevertheless."""
