"""Readers of uploaded tables, pictures, images, drawings. Nothing is believed unchecked."""
