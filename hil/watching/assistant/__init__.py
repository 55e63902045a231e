"""What an assistant that speaks the Model Context Protocol may see, and what it may do where a person says so."""
