"""What all pages share: the lab, the visitor, and what an operator sees."""
