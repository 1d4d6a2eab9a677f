"""``earshot demo``: the main job on a bare machine."""
