"""Small elements of pages."""
