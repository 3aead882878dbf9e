"""Where candidates are trained: one interface, and results that do not depend on which one is used."""
