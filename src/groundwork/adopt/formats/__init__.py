"""The files in which projects say what they depend on, one module per kind of file."""
