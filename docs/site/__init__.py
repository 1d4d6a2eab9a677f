"""The documentation as a site (``make docs``): the pages of docs/ as they are read in the repository, searched."""
