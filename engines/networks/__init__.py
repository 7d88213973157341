"""Network definitions as torch modules. Imported only when graphs are built or trained, never by the live loop."""
