"""The names of the house, from whoever knows them: asked ahead, kept, and in order of who speaks where."""
