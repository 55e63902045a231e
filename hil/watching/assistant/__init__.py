"""What an assistant that speaks the Model Context Protocol may see of the bench, and what it may do where it is told."""
