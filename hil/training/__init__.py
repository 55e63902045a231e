"""The loop that trains, from steps to run folders (`run`)."""
