"""The page for teachers: a lesson plan, links for a class, and their QR codes."""
