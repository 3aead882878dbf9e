"""The report of a run as one file: `reading` → `facts` → blocks of the sections → `render`."""
