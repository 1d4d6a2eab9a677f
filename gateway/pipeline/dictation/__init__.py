"""Speech of programs, heard as it comes: no device, no session, nobody who answers; text goes back to who sent it."""
