"""The instruments of a virtual laboratory under VISA names, in process, without a socket."""
