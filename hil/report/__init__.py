"""Reports: self-contained HTML pages that need no network, put together from parts any report can use.

`page` has the parts and writes pages, `figures` draws and embeds, `training` is the report of a run.
"""
