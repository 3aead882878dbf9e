"""`python -m cli` from a checkout."""

from .main import main

main()
