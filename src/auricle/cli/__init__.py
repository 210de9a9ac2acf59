"""The command line: parses, calls one function, prints. Importing it never brings torch in."""
