"""The stages and their composition; the only package that knows all the others."""
