"""The site's reference, made of the code: API of docstrings, commands of typer, keys of pydantic models."""
