"""Reference firmware in C11 (`README.md` beside this file) and the generators of its headers."""
