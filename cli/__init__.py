"""The command line of G2L. Imports inside this package are relative: it is installed as `g2l_cli`."""
