"""Fits mkdocs-jupyter's pages to the site (filled in below)."""
