"""Who is next: the recognizer, its queue, and looks at speech that goes on."""
