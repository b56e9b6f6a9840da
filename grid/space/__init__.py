"""What a space asks for: YAML files to trials and analyses."""
