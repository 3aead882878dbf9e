"""Arrays in the files of other programs: what a file holds, and one of its arrays."""
